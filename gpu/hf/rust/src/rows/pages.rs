// gpu/hf/rust/src/rows/pages.rs - looks through a parquet file's pages before they are read: the
// parquet crate allocates what a page's header claims and unpacks all that a page holds. Page
// headers: parquet.thrift, in Thrift's compact protocol.
use super::corrupt;
use crate::Res;
use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

/// Of one page, unpacked. Writers aim at a mebibyte; one value can be longer.
const PAGE_BYTES_MAX: u64 = 256 << 20;
const NESTING_MAX: u32 = 8;

pub fn check(file: &File, column: &ColumnChunkMetaData) -> Res<()> {
    let (begin, size) = column.byte_range();
    let mut input = BufReader::with_capacity(1 << 16, file);
    input.seek(SeekFrom::Start(begin))?;
    let mut input = input.take(size);
    let mut values = 0i64;
    while values < column.num_values() && !input.fill_buf()?.is_empty() {
        let mut page = Page { is_packed: true, ..Page::default() };
        structure(&mut input, 0, 0, &mut page)?;
        if page.plain > PAGE_BYTES_MAX {
            let plain = page.plain;
            return Err(format!("a page of {plain} bytes; at most {PAGE_BYTES_MAX}: write smaller row groups").into());
        }
        if page.packed > input.limit() || page.levels > page.packed.min(page.plain) || page.values < 0 {
            return Err(corrupt("a page does not fit into its column"));
        }
        values += page.values;
        std::io::copy(&mut (&mut input).take(page.levels), &mut std::io::sink())?;
        let mut body = (&mut input).take(page.packed - page.levels);
        if page.is_packed {
            unpack(&mut body, column.compression(), page.plain - page.levels)?;
        }
        std::io::copy(&mut body, &mut std::io::sink())?;
    }
    Ok(())
}
/// What is not bounded by the claimed size must come to that size.
fn unpack(body: &mut impl BufRead, codec: Compression, plain: u64) -> Res<()> {
    let mut out: Box<dyn Read + '_> = match codec {
        Compression::GZIP(_) => Box::new(flate2::bufread::MultiGzDecoder::new(body)),
        Compression::ZSTD(_) => Box::new(zstd::stream::read::Decoder::with_buffer(body)?),
        Compression::BROTLI(_) => Box::new(brotli::Decompressor::new(body, 1 << 16)),
        _ => return Ok(()),
    };
    let mut room = vec![0; 1 << 16];
    let mut size = 0u64;
    loop {
        match out.read(&mut room) {
            Ok(0) => return Ok(()),
            Ok(n) => size += n as u64,
            Err(e) if e.kind() == ErrorKind::Interrupted => (),
            Err(e) => return Err(corrupt(format!("a page cannot be unpacked: {e}"))),
        }
        if size > plain {
            return Err(corrupt("a page unpacks to more than it says"));
        }
    }
}

#[derive(Default)]
struct Page {
    plain: u64,
    packed: u64,
    levels: u64, // bytes before the packed ones, of version 2
    values: i64,
    is_packed: bool,
}
impl Page {
    /// A number of the header, by the number of its field and of the field that it is in.
    fn set(&mut self, outer: i64, field: i64, value: i64) -> Res<()> {
        let size = || u64::try_from(value).map_err(|_| corrupt("a page has a negative size"));
        match (outer, field) {
            (0, 2) => self.plain = size()?,
            (0, 3) => self.packed = size()?,
            (5 | 8, 1) => self.values = value,
            (8, 5 | 6) => self.levels = self.levels.saturating_add(size()?),
            (8, 7) => self.is_packed = value != 0,
            _ => (),
        }
        Ok(())
    }
}
fn byte(input: &mut dyn Read) -> Res<u8> {
    let mut one = [0];
    input.read_exact(&mut one).map_err(|_| corrupt("a page's header is cut off"))?;
    Ok(one[0])
}
fn variable(input: &mut dyn Read) -> Res<u64> {
    let mut out = 0;
    for shift in (0..64).step_by(7) {
        let b = byte(input)?;
        out |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return Ok(out);
        }
    }
    Err(corrupt("a page's header holds a number that is too long"))
}
fn signed(input: &mut dyn Read) -> Res<i64> {
    let n = variable(input)?;
    Ok((n >> 1) as i64 ^ -((n & 1) as i64))
}
fn structure(input: &mut dyn Read, outer: i64, nesting: u32, page: &mut Page) -> Res<()> {
    if nesting > NESTING_MAX {
        return Err(corrupt("a page's header is nested too deep"));
    }
    let mut field = 0i64;
    loop {
        let head = byte(input)?;
        if head == 0 {
            return Ok(());
        }
        field = if head >> 4 == 0 { signed(input)? } else { field + i64::from(head >> 4) };
        match head & 0xf {
            1 | 2 => page.set(outer, field, i64::from(head & 0xf == 1))?,
            kind => value(input, kind, outer, field, nesting, page)?,
        }
    }
}
fn skip(input: &mut dyn Read, n: u64) -> Res<()> {
    let skipped = std::io::copy(&mut input.take(n), &mut std::io::sink())?;
    if skipped == n { Ok(()) } else { Err(corrupt("a page's header is cut off")) }
}
fn value(input: &mut dyn Read, kind: u8, outer: i64, field: i64, nesting: u32, page: &mut Page) -> Res<()> {
    match kind {
        1..=3 => skip(input, 1),
        4..=6 => {
            let number = signed(input)?;
            if nesting < 2 { page.set(outer, field, number) } else { Ok(()) }
        }
        7 => skip(input, 8),
        8 => {
            let n = variable(input)?;
            skip(input, n)
        }
        9 | 10 => {
            let head = byte(input)?;
            let count = if head >> 4 == 15 { variable(input)? } else { u64::from(head >> 4) };
            for _ in 0..count {
                value(input, head & 0xf, -1, -1, nesting + 1, page)?;
            }
            Ok(())
        }
        12 => structure(input, if nesting == 0 { field } else { -1 }, nesting + 1, page),
        _ => Err(corrupt("a page's header is damaged")),
    }
}
