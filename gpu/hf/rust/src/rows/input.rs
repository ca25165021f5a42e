// gpu/hf/rust/src/rows/input.rs - a file's bytes, unpacked where it is packed, and counted.
use super::{corrupt, Packing, BOM};
use crate::Res;
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};

/// The text of a file without its byte order mark. Refuses what is UTF-16.
pub struct Input {
    bytes: BufReader<Box<dyn Read>>,
    packing: Packing,
}
impl Input {
    pub fn new(file: File, packing: Packing, bytes_max: u64) -> Res<Input> {
        let mut file = BufReader::with_capacity(1 << 16, file);
        if let Some((form, ending)) = not_packed(file.fill_buf()?, packing) {
            return Err(format!("is not {form}, although its name ends in {ending}; take {ending} away, or pack it again").into());
        }
        let plain: Box<dyn Read> = match packing {
            Packing::None => Box::new(file),
            Packing::Gzip => Box::new(Members { now: Some(GzDecoder::new(file)) }),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        };
        let counted: Box<dyn Read> = Box::new(Counted { plain, left: bytes_max, max: bytes_max });
        let mut input = Input { bytes: BufReader::with_capacity(1 << 16, counted), packing };
        let begin = input.peek()?;
        if let Some(why) = not_text(begin) {
            return Err(why.into());
        }
        if begin.starts_with(b"\xFF\xFE") || begin.starts_with(b"\xFE\xFF") {
            return Err("is UTF-16; save the file as UTF-8".into());
        }
        let mark = if begin.starts_with(BOM) { BOM.len() } else { 0 };
        input.skip(mark);
        Ok(input)
    }
    /// What comes next, in pieces; empty at the end.
    pub fn peek(&mut self) -> Res<&[u8]> {
        match self.bytes.fill_buf() {
            Ok(_) => Ok(self.bytes.buffer()),
            Err(e) => Err(trouble(e, self.packing)),
        }
    }
    pub fn skip(&mut self, bytes: usize) {
        self.bytes.consume(bytes);
    }
}
/// The form that the name says and the first bytes do not.
fn not_packed(begin: &[u8], packing: Packing) -> Option<(&'static str, &'static str)> {
    let begins = |magic: &[u8]| begin.iter().zip(magic).all(|(a, b)| a == b);
    let is_skipped = begin.len() >= 4 && begin[0] >> 4 == 5 && begin[1..4] == [0x2a, 0x4d, 0x18]; // a frame without data
    match packing {
        Packing::Gzip if !begins(&[0x1f, 0x8b]) => Some(("gzip", ".gz")),
        Packing::Zstd if !is_skipped && !begins(&[0x28, 0xb5, 0x2f, 0xfd]) => Some(("zstd", ".zst")),
        _ => None,
    }
}
/// What a file is that begins like none of text, and what to do.
fn not_text(begin: &[u8]) -> Option<&'static str> {
    match begin {
        [0x1f, 0x8b, ..] => Some("is packed with gzip, which its name does not say; put .gz behind it"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("is packed with zstd, which its name does not say; put .zst behind it"),
        [b'P', b'K', 3, 4, ..] => Some("is a zip archive or a spreadsheet; unpack it, or save it as .csv in UTF-8"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("is packed with xz; unpack it, or pack it with gzip"),
        [b'B', b'Z', b'h', _, b'1', b'A', b'Y', b'&', b'S', b'Y', ..] => {
            Some("is packed with bzip2; unpack it, or pack it with gzip")
        }
        [b'P', b'A', b'R', b'1', b, ..] if *b < b' ' && !b.is_ascii_whitespace() => {
            Some("is parquet, which its name does not say; end it in .parquet")
        }
        _ => None,
    }
}
/// The members of a gzip file one after the other. As in Python, zero bytes may stand behind each:
/// tapes and block devices pad with them.
struct Members {
    now: Option<GzDecoder<BufReader<File>>>,
}
impl Read for Members {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.now {
            let n = member.read(to)?;
            if n > 0 || to.is_empty() {
                return Ok(n);
            }
            let Some(member) = self.now.take() else { break };
            let mut file = member.into_inner();
            let next = loop {
                let piece = file.fill_buf()?;
                let zeros = piece.iter().take_while(|&&b| b == 0).count();
                let (next, is_end) = (piece.get(zeros).copied(), piece.is_empty());
                file.consume(zeros);
                if next.is_some() || is_end {
                    break next;
                }
            };
            match next {
                None => break,
                Some(0x1f) => self.now = Some(GzDecoder::new(file)),
                Some(_) => {
                    let why = "behind its end stand bytes that are neither gzip nor zeros; cut them off";
                    return Err(std::io::Error::new(ErrorKind::InvalidData, why));
                }
            }
        }
        Ok(0)
    }
}
fn trouble(e: std::io::Error, packing: Packing) -> crate::Error {
    match (e.kind(), packing) {
        (ErrorKind::FileTooLarge, _) | (_, Packing::None) => e.to_string().into(),
        (ErrorKind::UnexpectedEof, _) => corrupt("the packed file is cut off; copy it again"),
        _ => corrupt(format!("the packed file is damaged: {e}")),
    }
}
struct Counted {
    plain: Box<dyn Read>,
    left: u64,
    max: u64,
}
impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = self.plain.read(to)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => {
                let why = format!("unpacks to more than {} bytes: split it", self.max);
                return Err(std::io::Error::new(ErrorKind::FileTooLarge, why));
            }
        }
        Ok(n)
    }
}
