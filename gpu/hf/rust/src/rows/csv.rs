// gpu/hf/rust/src/rows/csv.rs - CSV as Python's csv module reads it (excel, newline=''): a quote
// opens at a field's begin only. The first record names the columns; every value is a string.
use super::input::Input;
use super::{not_utf8, Sink};
use crate::Res;
use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value as Json};

const COLUMNS_MAX: usize = 100_000;

pub fn read(input: &mut Input, sink: &mut Sink) -> Res<()> {
    let mut records = Records::new(input, sink.limits.row_bytes);
    let Some((_, names)) = records.next()? else { return Ok(()) };
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!(
                "column {} has no name; name it in the first line (pandas: to_csv(.., index=False))",
                i + 1
            )
            .into());
        }
        if names[..i].contains(name) {
            return Err(format!("column \"{name}\" is there twice; rename or drop one").into());
        }
    }
    while let Some((line, values)) = records.next()? {
        let at = format!("line {line}");
        if values.len() != names.len() {
            return Err(format!(
                "{at}: {} values for the {} columns {}; quote values that hold commas",
                values.len(),
                names.len(),
                shown(&names)
            )
            .into());
        }
        let row: Map<String, Json> = names.iter().cloned().zip(values.into_iter().map(Json::String)).collect();
        if !sink.row(Json::Object(row).to_string().as_bytes(), &at)? {
            break;
        }
    }
    Ok(())
}
/// As many as a person reads.
fn shown(names: &[String]) -> String {
    let few: Vec<&str> = names.iter().take(20).map(|n| n.as_str()).collect();
    let more = if names.len() > few.len() { ", ..." } else { "" };
    format!("{}{more}", few.join(", "))
}

struct Records<'a> {
    input: &'a mut Input,
    reader: Reader,
    line: usize,
    before: u8, // the last byte that was read
    row_bytes: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
}
impl<'a> Records<'a> {
    fn new(input: &'a mut Input, row_bytes: usize) -> Self {
        let (text, ends) = (vec![0; (1 << 12).min(row_bytes + 1)], vec![0; 64]);
        Records { input, reader: Reader::new(), line: 1, before: 0, row_bytes, text, ends }
    }
    /// The next record that is no blank line, and the line it begins in.
    fn next(&mut self) -> Res<Option<(usize, Vec<String>)>> {
        let (mut size, mut fields) = (0, 0);
        let mut begin = self.line;
        let mut begun = false;
        loop {
            let piece = self.input.peek()?;
            let at_end = piece.is_empty();
            // At the end a line end closes the last record, unless it is inside of a quote.
            let piece: &[u8] = if at_end { b"\n" } else { piece };
            let (result, read, written, ended) =
                self.reader.read_record(piece, &mut self.text[size..], &mut self.ends[fields..]);
            for &b in &piece[..read] {
                if !begun && !matches!(b, b'\r' | b'\n') {
                    begun = true;
                    begin = self.line;
                }
                self.line += usize::from(b == b'\r' || (b == b'\n' && self.before != b'\r'));
                self.before = b;
            }
            size += written;
            fields += ended;
            if !at_end {
                self.input.skip(read);
            }
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::InputEmpty if at_end && size == 0 && fields == 0 => return Ok(None),
                ReadRecordResult::InputEmpty if at_end => return Err(self.open_quote(begin, size, fields)),
                ReadRecordResult::InputEmpty => (),
                ReadRecordResult::OutputFull if self.text.len() > self.row_bytes => {
                    let max = self.row_bytes;
                    return Err(format!("line {begin}: longer than {max} bytes; is a quote open?").into());
                }
                ReadRecordResult::OutputFull => {
                    let wanted = (self.text.len() * 2).min(self.row_bytes + 1).max(self.text.len() + 1);
                    self.text.resize(wanted, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() >= COLUMNS_MAX => {
                    return Err(format!("line {begin}: more than {COLUMNS_MAX} columns").into());
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(None),
            }
        }
        let at = format!("line {begin}");
        if size > self.row_bytes {
            return Err(format!("{at}: longer than {} bytes; is a quote open?", self.row_bytes).into());
        }
        if self.text[..size].contains(&0) {
            return Err(format!("{at}: holds NUL bytes (UTF-16?); save the file as UTF-8").into());
        }
        let mut values = Vec::with_capacity(fields);
        let mut from = 0;
        for &end in &self.ends[..fields] {
            let value = std::str::from_utf8(&self.text[from..end]).map_err(|_| not_utf8(&at))?;
            values.push(value.to_string());
            from = end;
        }
        Ok(Some((begin, values)))
    }
    /// The quote that is never closed opened the last field; earlier fields may hold lines.
    fn open_quote(&self, begin: usize, size: usize, fields: usize) -> crate::Error {
        let from = if fields > 0 { self.ends[fields - 1] } else { 0 };
        let before = &self.text[..from.min(size)];
        let lines = before.iter().enumerate().filter(|(i, &b)| b == b'\n' || (b == b'\r' && before.get(i + 1) != Some(&b'\n')));
        format!("line {}: a quote opens here and is never closed", begin + lines.count()).into()
    }
}
