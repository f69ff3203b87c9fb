//! Finds what ships beside the program: demo models, home, policies, tour.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The folder `deploy`.
#[derive(Debug, Clone)]
pub struct Deploy {
    folder: PathBuf,
}

// === impl Deploy ===

impl Deploy {
    /// The folder named, or `deploy` here, or the one of the source tree that this program was built from.
    ///
    /// # Errors
    ///
    /// No such folder; the message says where it was looked for.
    pub fn find(named: Option<PathBuf>) -> Result<Self> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        let places = named.map_or_else(|| vec![PathBuf::from("deploy"), built_from], |folder| vec![folder]);
        let Some(folder) = places.iter().find(|folder| folder.join("policies").is_dir()) else {
            let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            bail!("no demo files in {}; name their folder with --deploy", looked.join(" or "));
        };
        Ok(Self { folder: folder.clone() })
    }

    /// The device's model in 4 bits.
    #[must_use]
    pub fn device_model(&self) -> PathBuf {
        self.folder.join("models/device/causeway-device-q4_0.gguf")
    }

    /// The device's model in BF16, as Hugging Face files.
    #[must_use]
    pub fn device_model_bf16(&self) -> PathBuf {
        self.folder.join("models/device")
    }

    /// The workers' model in 4 bits.
    #[must_use]
    pub fn cloud_model(&self) -> PathBuf {
        self.folder.join("models/cloud/causeway-cloud-q4_0.gguf")
    }

    /// The workers' model in BF16, as Hugging Face files.
    #[must_use]
    pub fn cloud_model_bf16(&self) -> PathBuf {
        self.folder.join("models/cloud")
    }

    /// The demo home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("homes/demo.toml")
    }

    /// The demo's policy.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.folder.join("policies/demo.toml")
    }

    /// The tour's questions.
    #[must_use]
    pub fn tour(&self) -> PathBuf {
        self.folder.join("tour.toml")
    }
}
