// gpu/hf/rust/src/rows/mod.rs - data files row by row as JSON objects, with limits.
mod csv;
mod input;
mod json;
mod pages;
mod parquet;

use crate::{Corrupt, Res};
use std::fs::File;
use std::path::Path;

#[derive(Clone, Copy)]
pub enum Format {
    Jsonl,
    Json,
    Csv,
    Parquet,
}
#[derive(Clone, Copy, PartialEq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}
impl Format {
    pub fn from_number(n: i32) -> Res<Format> {
        match n {
            0 => Ok(Format::Jsonl),
            1 => Ok(Format::Json),
            2 => Ok(Format::Csv),
            3 => Ok(Format::Parquet),
            _ => Err(format!("format {n} is not known").into()),
        }
    }
}
impl Packing {
    pub fn from_number(n: i32) -> Res<Packing> {
        match n {
            0 => Ok(Packing::None),
            1 => Ok(Packing::Gzip),
            2 => Ok(Packing::Zstd),
            _ => Err(format!("packing {n} is not known").into()),
        }
    }
}
pub struct Limits {
    pub bytes: u64, // of the whole file, unpacked
    pub row_bytes: usize,
    pub rows: usize,
}
/// Where rows go. `give` answers whether more are wanted.
pub struct Sink<'a> {
    pub limits: Limits,
    pub rows: usize,
    pub give: &'a mut dyn FnMut(usize, &[u8]) -> bool,
}
impl Sink<'_> {
    fn row(&mut self, json: &[u8], at: &str) -> Res<bool> {
        self.fits(json.len(), at)?;
        if self.rows == self.limits.rows {
            return Err(format!("{at}: more than {} rows; split the data", self.limits.rows).into());
        }
        self.rows += 1;
        Ok((self.give)(self.rows, json))
    }
    fn fits(&self, size: usize, at: &str) -> Res<()> {
        if size > self.limits.row_bytes {
            return Err(format!("{at}: longer than {} bytes; shorten it", self.limits.row_bytes).into());
        }
        Ok(())
    }
}

pub fn read(path: &Path, format: Format, packing: Packing, sink: &mut Sink) -> Res<()> {
    let file = File::open(path)?;
    if let Format::Parquet = format {
        return parquet::read(file, sink);
    }
    let mut input = input::Input::new(file, packing, sink.limits.bytes)?;
    match format {
        Format::Jsonl => json::lines(&mut input, sink),
        Format::Json => json::whole(Vec::new(), &mut input, sink),
        _ => csv::read(&mut input, sink),
    }
}
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What is wrong with bytes that are no UTF-8, and what to do.
fn not_utf8(at: &str) -> crate::Error {
    format!("{at}: not UTF-8 (another encoding, as of a spreadsheet?); save the file as UTF-8").into()
}
fn corrupt(why: impl std::fmt::Display) -> crate::Error {
    Box::new(Corrupt(why.to_string()))
}
