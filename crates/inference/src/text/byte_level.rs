//! The byte alphabet of GPT-2 and its heirs, in which every byte is a printable character.

/// The byte that a character of the alphabet stands for: printable Latin-1 stands for itself, the other 68 bytes
/// follow in order from U+0100.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0..=0xff => u8::try_from(code).ok().filter(|byte| stands_for_itself(*byte)),
        0x100..=0x143 => (0..=u8::MAX).filter(|byte| !stands_for_itself(*byte)).nth((code - 0x100) as usize),
        _ => None,
    }
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..)
}

/// A token's bytes; a character outside the alphabet gives its own.
pub(super) fn bytes_of(token: &str, table: &[Option<u8>; 0x144]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    for character in token.chars() {
        match table.get(u32::from(character) as usize).copied().flatten() {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// `byte_of` for the whole alphabet.
pub(super) fn table() -> [Option<u8>; 0x144] {
    std::array::from_fn(|code| char::from_u32(code as u32).and_then(byte_of))
}
