// gpu/hf/rust/src/rows.rs - data files row by row as JSON objects, with limits.
use crate::Res;
use serde_json::{Map, Value as Json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

#[derive(Clone, Copy)]
pub enum Format {
    Jsonl,
    Json,
    Csv,
    Parquet,
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
/// Where rows go. `give` answers whether more are wanted.
pub struct Sink<'a> {
    pub row_bytes_max: usize,
    pub rows_max: usize,
    pub rows: usize,
    pub give: &'a mut dyn FnMut(usize, &[u8]) -> bool,
}
impl Sink<'_> {
    fn row(&mut self, json: &[u8], at: &str) -> Res<bool> {
        self.fits(json.len(), at)?;
        if self.rows == self.rows_max {
            return Err(format!("{at}: more than {} rows; split the data", self.rows_max).into());
        }
        self.rows += 1;
        Ok((self.give)(self.rows, json))
    }
    fn fits(&self, size: usize, at: &str) -> Res<()> {
        if size > self.row_bytes_max {
            return Err(format!("{at}: longer than {} bytes; shorten it", self.row_bytes_max).into());
        }
        Ok(())
    }
}

pub fn read(path: &Path, format: Format, sink: &mut Sink) -> Res<()> {
    let file = File::open(path)?;
    match format {
        Format::Jsonl => jsonl(BufReader::new(file), sink),
        Format::Json => json(file, sink),
        Format::Csv => csv(BufReader::new(file), sink),
        Format::Parquet => parquet(file, sink),
    }
}

fn object(value: &Json, at: &str) -> Res<()> {
    if value.is_object() {
        return Ok(());
    }
    Err(format!("{at}: is {}, must be an object like {{\"messages\": [..]}}", kind(value)).into())
}
fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
const JSON_BYTES_MAX: u64 = 512 << 20;
const BOM: &[u8] = b"\xEF\xBB\xBF";

fn jsonl(mut input: impl BufRead, sink: &mut Sink) -> Res<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = sink.row_bytes_max as u64 + 3;
        if (&mut input).take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let at = format!("line {number}");
        let body = line.strip_prefix(BOM).filter(|_| number == 1).unwrap_or(&line).trim_ascii();
        sink.fits(body.len(), &at)?;
        if body.is_empty() {
            continue;
        }
        let value: Json =
            serde_json::from_slice(body).map_err(|e| format!("{at}: not JSON: {e}"))?;
        object(&value, &at)?;
        if !sink.row(body, &at)? {
            break;
        }
    }
    Ok(())
}

/// An array of objects, an object {"data"|"rows"|"train": [..]}, or objects one after the other.
fn json(mut file: File, sink: &mut Sink) -> Res<()> {
    let size = file.metadata()?.len();
    if size > JSON_BYTES_MAX {
        return Err(format!(
            "{size} bytes; a .json file is read whole and can have {JSON_BYTES_MAX}: write it as .jsonl, an object a line"
        )
        .into());
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let body = text.strip_prefix(BOM).unwrap_or(&text);
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Json>() {
        let value = value.map_err(|e| format!("not JSON: {e}"))?;
        let items = match value {
            Json::Array(items) => items,
            Json::Object(mut members) if members.len() == 1 => {
                let key = members.keys().next().cloned().unwrap_or_default();
                match members.get_mut(&key) {
                    Some(Json::Array(items)) if ["data", "rows", "train"].contains(&&*key) => {
                        std::mem::take(items)
                    }
                    _ => vec![Json::Object(members)],
                }
            }
            other => vec![other],
        };
        for item in items {
            let at = format!("row {}", sink.rows + 1);
            object(&item, &at)?;
            if !sink.row(item.to_string().as_bytes(), &at)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// RFC 4180: the first record names the columns; every value is a string.
fn csv(input: impl BufRead, sink: &mut Sink) -> Res<()> {
    let mut records = CsvRecords { input, line: 1, row_bytes_max: sink.row_bytes_max };
    let Some((_, mut names)) = records.next()? else { return Ok(()) };
    if let Some(rest) = names[0].strip_prefix('\u{FEFF}') {
        names[0] = rest.to_string();
    }
    while let Some((line, values)) = records.next()? {
        if values.len() == 1 && values[0].is_empty() && names.len() > 1 {
            continue; // a blank line
        }
        let at = format!("line {line}");
        if values.len() != names.len() {
            return Err(format!(
                "{at}: {} values for the {} columns {}",
                values.len(),
                names.len(),
                names.join(", ")
            )
            .into());
        }
        let row: Map<String, Json> =
            names.iter().cloned().zip(values.into_iter().map(Json::String)).collect();
        if !sink.row(Json::Object(row).to_string().as_bytes(), &at)? {
            break;
        }
    }
    Ok(())
}
struct CsvRecords<R> {
    input: R,
    line: usize,
    row_bytes_max: usize,
}
impl<R: BufRead> CsvRecords<R> {
    /// The next record and the line it starts in.
    fn next(&mut self) -> Res<Option<(usize, Vec<String>)>> {
        let begin = self.line;
        let at = format!("line {begin}");
        let mut raw = Vec::new();
        // A record ends at a line end outside quotes: an even number of quotes so far.
        let mut quotes = 0usize;
        loop {
            let from = raw.len();
            let limit = (self.row_bytes_max - raw.len().min(self.row_bytes_max)) as u64 + 3;
            if (&mut self.input).take(limit).read_until(b'\n', &mut raw)? == 0 {
                break;
            }
            if raw.len() > self.row_bytes_max {
                return Err(format!("{at}: longer than {} bytes; is a quote open?", self.row_bytes_max).into());
            }
            self.line += 1;
            quotes += raw[from..].iter().filter(|&&b| b == b'"').count();
            if quotes % 2 == 0 {
                break;
            }
        }
        if raw.is_empty() {
            return Ok(None);
        }
        if quotes % 2 == 1 {
            return Err(format!("{at}: a quote is never closed").into());
        }
        let text = std::str::from_utf8(&raw).map_err(|e| format!("{at}: not UTF-8: {e}"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok(Some((begin, split_record(text))))
    }
}
fn split_record(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let last = fields.len() - 1;
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields[last].push(c),
        }
    }
    fields
}

fn parquet(file: File, sink: &mut Sink) -> Res<()> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(file)?;
    for row in reader.get_row_iter(None)? {
        let at = format!("row {}", sink.rows + 1);
        let json = row.map_err(|e| format!("{at}: {e}"))?.to_json_value().to_string();
        if !sink.row(json.as_bytes(), &at)? {
            break;
        }
    }
    Ok(())
}
