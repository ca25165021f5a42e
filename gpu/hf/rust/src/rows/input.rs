// gpu/hf/rust/src/rows/input.rs - a file's bytes, unpacked where it is packed, and counted.
use super::{corrupt, Packing, BOM};
use crate::Res;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};

/// The text of a file without its byte order mark. Refuses what is UTF-16.
pub struct Input {
    bytes: BufReader<Box<dyn Read>>,
    packing: Packing,
}
impl Input {
    pub fn new(file: File, packing: Packing, bytes_max: u64) -> Res<Input> {
        let file = BufReader::with_capacity(1 << 16, file);
        let plain: Box<dyn Read> = match packing {
            Packing::None => Box::new(file),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        };
        let counted: Box<dyn Read> = Box::new(Counted { plain, left: bytes_max, max: bytes_max });
        let mut input = Input { bytes: BufReader::with_capacity(1 << 16, counted), packing };
        let begin = input.peek()?;
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
