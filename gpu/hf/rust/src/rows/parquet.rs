// gpu/hf/rust/src/rows/parquet.rs - parquet rows through the crate's row API, as JSON.
use super::{corrupt, pages, Sink};
use crate::Res;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::Type;
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::fs::File;

const COLUMNS_MAX: usize = 10_000;

pub fn read(file: File, sink: &mut Sink) -> Res<()> {
    let pages = file.try_clone()?;
    let reader = SerializedFileReader::new(file).map_err(corrupt)?;
    check_sizes(&reader, sink)?;
    check_names(reader.metadata().file_metadata().schema())?;
    for group in reader.metadata().row_groups() {
        group.columns().iter().try_for_each(|column| pages::check(&pages, column))?;
    }
    for row in reader.get_row_iter(None).map_err(corrupt)? {
        let at = format!("row {}", sink.rows + 1);
        let row = row.map_err(|e| corrupt(format!("{at}: {e}")))?;
        let mut path = Vec::new();
        let json = object(&row, &mut path).map_err(|why| format!("{at}: column {}: {why}", path.join(".")))?;
        if !sink.row(json.to_string().as_bytes(), &at)? {
            break;
        }
    }
    Ok(())
}
/// What the file says about itself must be possible.
fn check_sizes(reader: &SerializedFileReader<File>, sink: &Sink) -> Res<()> {
    let mut bytes = 0u64;
    for group in reader.metadata().row_groups() {
        if group.num_columns() > COLUMNS_MAX {
            return Err(format!("{} columns; at most {COLUMNS_MAX}", group.num_columns()).into());
        }
        for column in group.columns() {
            let (packed, plain) = (column.compressed_size(), column.uncompressed_size());
            if packed < 0 || plain < 0 || column.num_values() < 0 {
                return Err(corrupt("a column has a negative size"));
            }
            bytes = bytes.saturating_add(plain as u64);
        }
    }
    if bytes > sink.limits.bytes {
        return Err(format!("unpacks to {bytes} bytes; at most {}: split it", sink.limits.bytes).into());
    }
    Ok(())
}
/// Of a name that stands twice the row API would keep one column.
fn check_names(group: &Type) -> Res<()> {
    let mut names = HashSet::new();
    for field in group.get_fields() {
        if !names.insert(field.name()) {
            return Err(format!("column \"{}\" is there twice; rename or drop one", field.name()).into());
        }
        if field.is_group() {
            check_names(field)?;
        }
    }
    Ok(())
}
/// On an error path names the column.
fn object(row: &Row, path: &mut Vec<String>) -> Result<Json, String> {
    let mut out = Map::new();
    for (name, field) in row.get_column_iter() {
        path.push(name.clone());
        out.insert(name.clone(), value(field, path)?);
        path.pop();
    }
    Ok(Json::Object(out))
}
fn value(field: &Field, path: &mut Vec<String>) -> Result<Json, String> {
    Ok(match field {
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => Json::String(text.to_string()),
            Err(_) => return Err("bytes that are no UTF-8 text; drop the column, or write text".into()),
        },
        Field::Group(row) => object(row, path)?,
        Field::ListInternal(list) => {
            Json::Array(list.elements().iter().map(|item| value(item, path)).collect::<Result<_, _>>()?)
        }
        Field::MapInternal(map) => {
            let mut out = Map::new();
            for (key, item) in map.entries() {
                let key = match value(key, path)? {
                    Json::String(text) => text,
                    other => other.to_string(),
                };
                out.insert(key, value(item, path)?);
            }
            Json::Object(out)
        }
        Field::Float(f) if !f.is_finite() => return Err(format!("{f} is no JSON; write null")),
        Field::Double(f) if !f.is_finite() => return Err(format!("{f} is no JSON; write null")),
        other => other.to_json_value(),
    })
}
