// gpu/hf/rust/src/rows/json.rs - lines of JSON, and JSON files that are one tree. Rows are given as
// they are written: numbers keep their digits.
use super::input::Input;
use super::{not_utf8, Sink, BOM};
use crate::Res;
use serde_json::value::RawValue;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Of a file that is read whole.
const TREE_BYTES_MAX: usize = 512 << 20;

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
fn not_json(at: &str, text: &[u8], error: &serde_json::Error) -> crate::Error {
    let names = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
    let why = error.to_string();
    let hint = if why.contains("surrogate") || why.contains("hex escape") {
        "; half of a \\u pair is no character: write both halves"
    } else if why.starts_with("expected value") && (names(b"NaN") || names(b"Infinity")) {
        "; NaN and Infinity are no JSON: write null"
    } else if has_mark(text, error) {
        "; a byte order mark stands there, as where files were joined: take it out"
    } else {
        ""
    };
    format!("{at}: not JSON: {why}{hint}").into()
}
/// Whether a byte order mark is what was not expected.
fn has_mark(text: &[u8], error: &serde_json::Error) -> bool {
    let lines = text.split_inclusive(|&b| b == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let at = (before + error.column()).saturating_sub(1);
    text.get(at..).is_some_and(|rest| rest.starts_with(BOM))
}
/// Checks the row and passes it on.
fn row(text: &[u8], at: &str, sink: &mut Sink) -> Res<bool> {
    let value: Json = serde_json::from_slice(text).map_err(|e| not_json(at, text, &e))?;
    if !value.is_object() {
        let kind = kind(&value);
        return Err(format!("{at}: is {kind}, must be an object like {{\"messages\": [..]}}").into());
    }
    sink.row(text, at)
}

pub fn lines(input: &mut Input, sink: &mut Sink) -> Res<()> {
    let mut line = Vec::new();
    let mut number = 0usize;
    let mut before = 0u8;
    loop {
        line.clear();
        let at = format!("line {}", number + 1);
        if !next_line(input, &mut line, &mut before, &at, sink)? {
            return Ok(());
        }
        number += 1;
        let body = line.trim_ascii();
        if body.is_empty() {
            continue;
        }
        if sink.rows == 0 && body[0] == b'[' {
            return whole(line, input, sink); // an array, perhaps over many lines
        }
        if body.contains(&0) {
            return Err(format!("{at}: holds NUL bytes (UTF-16?); save the file as UTF-8").into());
        }
        std::str::from_utf8(body).map_err(|_| not_utf8(&at))?;
        if !row(body, &at, sink)? {
            return Ok(());
        }
    }
}
/// A line with its end, which is \n, \r or both; false: there is none.
fn next_line(input: &mut Input, line: &mut Vec<u8>, before: &mut u8, at: &str, sink: &Sink) -> Res<bool> {
    loop {
        let piece = input.peek()?;
        if piece.is_empty() {
            return Ok(!line.is_empty());
        }
        if *before == b'\r' && line.is_empty() && piece[0] == b'\n' {
            *before = 0;
            input.skip(1);
            continue;
        }
        let end = piece.iter().position(|b| matches!(b, b'\n' | b'\r')).map(|i| i + 1);
        let size = end.unwrap_or(piece.len());
        line.extend_from_slice(&piece[..size]);
        *before = piece[size - 1];
        input.skip(size);
        sink.fits(line.trim_ascii_end().len(), at)?;
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// An array of objects, an object {"data"|"rows"|"train": [..]}, or objects one after the other.
/// begin: what was read of it.
pub fn whole(begin: Vec<u8>, input: &mut Input, sink: &mut Sink) -> Res<()> {
    let mut bytes = begin;
    loop {
        let piece = input.peek()?;
        if piece.is_empty() {
            break;
        }
        if bytes.len() + piece.len() > TREE_BYTES_MAX {
            return Err(format!(
                "more than {TREE_BYTES_MAX} bytes; one JSON tree is read whole: write it as .jsonl, an object a line"
            )
            .into());
        }
        let size = piece.len();
        bytes.extend_from_slice(piece);
        input.skip(size);
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(e) => {
            let line = bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
            return Err(not_utf8(&format!("line {line}")));
        }
    };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    while let Some(value) = values.next() {
        let value = value.map_err(|e| not_json("the file", text.as_bytes(), &e))?.get();
        if value.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value)?;
            if !rows(&items, sink)? {
                return Ok(());
            }
        } else if let Some(items) = wrapped(value)? {
            if !rows(&items, sink)? {
                return Ok(());
            }
        } else if !row(value.as_bytes(), &format!("row {}", sink.rows + 1), sink)? {
            return Ok(());
        }
    }
    Ok(())
}
fn rows(items: &[&RawValue], sink: &mut Sink) -> Res<bool> {
    for item in items {
        if !row(item.get().as_bytes(), &format!("row {}", sink.rows + 1), sink)? {
            return Ok(false);
        }
    }
    Ok(true)
}
/// The rows of {"data": [..]}, also beside other members such as a version; None: the object is a
/// row. An object of columns is refused.
fn wrapped(value: &str) -> Res<Option<Vec<&RawValue>>> {
    if !value.starts_with('{') {
        return Ok(None);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(value)?;
    let is_column = |v: &&RawValue| v.get().starts_with('{') && v.get()[1..].trim_start().starts_with("\"0\"");
    if !members.is_empty() && members.values().all(is_column) {
        return Err("holds columns of values by their numbers, as pandas writes by default; write rows: \
                    df.to_json(.., orient=\"records\", lines=True)"
            .into());
    }
    let Some((_, list)) = members.iter().find(|(name, _)| ["data", "rows", "train"].contains(&name.as_str())) else {
        return Ok(None);
    };
    let plain = |v: &&RawValue| !v.get().starts_with(['[', '{']);
    let others = members.values().filter(|v| !std::ptr::eq(**v, *list)).all(plain);
    if !list.get().starts_with('[') || !others {
        return Ok(None);
    }
    let items: Vec<&RawValue> = serde_json::from_str(list.get())?;
    Ok(if items.iter().all(|v| v.get().starts_with('{')) { Some(items) } else { None })
}
