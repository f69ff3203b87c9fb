use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::rig;
use crate::transport::Os;

/// A frame with this payload.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// `:authority` as a literal that the table keeps.
fn authority(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [
        &[0x41],
        if length < 0x7f { vec![length] } else { vec![0x7f, length - 0x7f] }.as_slice(),
        text.as_bytes(),
    ]
    .concat()
}

/// `:method POST`, `:scheme http`, `:path /a/b%`, then what is given.
fn block(authority: &[u8]) -> Vec<u8> {
    [&[0x83, 0x86, 0x44, 5][..], b"/a/b%", authority].concat()
}

/// What the reader sees, however the bytes are cut.
fn check(sent: &[u8], expect: &[u8]) {
    for cut in [1, 2, 3, 7, sent.len()] {
        let mut frames = Frames::after_preface();
        frames.pass(&mut PREFACE.to_vec());
        let mut seen = sent.to_vec();
        seen.chunks_mut(cut).for_each(|chunk| frames.pass(chunk));
        assert_eq!(seen, expect, "{cut} bytes at a time");
    }
}

#[test]
fn a_path_in_the_authority_loses_what_a_host_cannot_have_and_nothing_else_changes() {
    let (sent, seen) = ("%2Ftmp%2Fa.sock", "-2Ftmp-2Fa.sock");
    let (before, after) = (block(&authority(sent)), block(&authority(seen)));
    check(&frame(HEADERS, 0x05, &before), &frame(HEADERS, 0x05, &after));
    // Two calls with other frames between them, one of no length, one that looks like an authority.
    let data = frame(0, 0, &authority(sent));
    let around = |block: &[u8]| {
        [frame(4, 0, &[]), frame(HEADERS, 4, block), data.clone(), frame(HEADERS, 4, block)].concat()
    };
    check(&around(&before), &around(&after));
    // Padding and priority stand around the block, and padding may look like one too.
    let padded = |block: &[u8]| [&[17][..], &[0x41, 3, b'%', 0, 0], block, &authority(sent)].concat();
    check(&frame(HEADERS, 0x2c, &padded(&before)), &frame(HEADERS, 0x2c, &padded(&after)));
    // A block goes on in the next frame, in the midst of a string.
    let split = |block: &[u8]| {
        let (first, rest) = block.split_at(block.len() - 9);
        [frame(HEADERS, 0, first), frame(CONTINUATION, 4, rest)].concat()
    };
    check(&split(&before), &split(&after));
    // As the C core writes it: with its name in letters. Names that only begin or end alike are others.
    let lettered = |name: &str, text: &str| {
        let lengths = [name, text].map(|text| u8::try_from(text.len()).unwrap());
        [&[0x40, lengths[0]], name.as_bytes(), &[lengths[1]], text.as_bytes()].concat()
    };
    let fields = |text: &str| {
        let others =
            [":authorit", ":authority2", "x:authority", ""].map(|name| lettered(name, "/%")).concat();
        frame(HEADERS, 4, &[others, lettered(":authority", text)].concat())
    };
    check(&fields(sent), &fields(seen));
    let (long, short) = ("/run/%".repeat(40), "-run--".repeat(40));
    check(&frame(HEADERS, 4, &block(&authority(&long))), &frame(HEADERS, 4, &block(&authority(&short))));
}

#[test]
fn every_form_of_a_field_is_passed() {
    let literal = |first: &[u8]| [first, &[2], b"/%"].concat();
    let forms = [
        literal(&[0x44]),
        literal(&[0x7f, 0x81, 0x01]),
        literal(&[0x0f, 0x03]),
        literal(&[0x14]),
        [&[0x40, 3][..], b"a/b", &[2], b"%/"].concat(),
        [&[0x10, 1][..], b"%", &[0]].concat(),
        vec![0x3f, 0xe1, 0x1f],
        vec![0xff, 0x80, 0x01],
        // Huffman-coded: these bytes are no characters.
        vec![0x41, 0x82, b'%', b'/'],
    ];
    for form in forms {
        let fields = |text: &str| frame(HEADERS, 4, &[form.clone(), authority(text)].concat());
        check(&fields("%2F"), &fields("-2F"));
    }
    // What is no block is left to the reader, and the next one is understood again.
    let lost = frame(HEADERS, 4, &[&[0x41, 0x7f][..], &[0xff; 9], b"%%%%"].concat());
    let then = |text: &str| [lost.clone(), frame(HEADERS, 4, &authority(text))].concat();
    check(&then("%"), &then("-"));
}

/// The types of the frames that answer a call with this authority, up to headers or a reset.
async fn answered(address: &str) -> u8 {
    let running = rig::start(&Os, address, None).await;
    let mut io = crate::transport::Transport::connect(&Os, &running.address).await.unwrap();
    let path = [&[0x44, 5][..], b"/echo"].concat();
    let name = [&[0x40, 10][..], b":authority", &[15], b"%2Ftmp%2Fa.sock"].concat();
    let block = [&[0x83, 0x86][..], &path, &name].concat();
    let call = [PREFACE, &frame(4, 0, &[])[..5], &[0; 4], &frame(HEADERS, 5, &block)].concat();
    io.write_all(&call).await.unwrap();
    loop {
        let mut header = [0; HEADER_BYTES];
        io.read_exact(&mut header).await.unwrap();
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        io.read_exact(&mut vec![0; length]).await.unwrap();
        // Settings, window updates and pings come and go.
        if matches!(header[3], HEADERS | 3 | 7) {
            return header[3];
        }
    }
}

#[tokio::test]
async fn a_caller_that_names_the_sockets_path_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(answered(&format!("unix:{}", folder.path().join("s").display())).await, HEADERS);
    // Elsewhere the name means something, and what HTTP/2 says of it holds.
    assert_eq!(answered("127.0.0.1:0").await, 3);
}
