// gpu/hf/rust/src/jinja/json.rs - JSON as Python's json module reads it into values and dumps writes
// it.
use super::arguments::{int, text as text_of, Args};
use super::text;
use super::value::{Dict, Value};
use super::{fail, Res};

const NESTING_MAX: u32 = 128;
const DIGITS_MAX: usize = 4300; // of an integer, in Python too

pub fn parse(source: &str) -> Res<Value> {
    let mut parser = Parser { source, at: 0, nesting: 0 };
    let made = parser.value()?;
    parser.blanks();
    if parser.at < source.len() {
        return parser.fail("extra data");
    }
    Ok(made)
}
struct Parser<'a> {
    source: &'a str,
    at: usize,
    nesting: u32,
}
impl<'a> Parser<'a> {
    fn fail<T>(&self, why: &str) -> Res<T> {
        fail(format!("not JSON: {why} at byte {}", self.at))
    }
    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
    fn eat(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }
    fn value(&mut self) -> Res<Value> {
        self.blanks();
        if self.nesting >= NESTING_MAX {
            return self.fail("recursion limit exceeded");
        }
        self.nesting += 1;
        let made = match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Value::str),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        };
        self.nesting -= 1;
        made
    }
    fn word(&mut self) -> Res<Value> {
        let words = [("null", Value::None), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        for (word, value) in words {
            if self.source[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fail("a value is expected")
    }
    fn array(&mut self) -> Res<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Value::list(items);
        }
        loop {
            items.push(self.value()?);
            if self.eat(b']') {
                return Value::list(items);
            }
            if !self.eat(b',') {
                return self.fail("',' or ']' is expected");
            }
        }
    }
    fn object(&mut self) -> Res<Value> {
        self.at += 1;
        let mut dict = Dict::default();
        if self.eat(b'}') {
            return Ok(Value::dict(dict));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return self.fail("a member's name is expected");
            }
            let name = self.string()?;
            if !self.eat(b':') {
                return self.fail("':' is expected");
            }
            dict.insert(Value::str(name), self.value()?)?;
            if self.eat(b'}') {
                return Ok(Value::dict(dict));
            }
            if !self.eat(b',') {
                return self.fail("',' or '}' is expected");
            }
        }
    }
    fn number(&mut self) -> Res<Value> {
        let begin = self.at;
        let mut is_float = false;
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.at;
        while let Some(b) = self.peek() {
            match b {
                b'0'..=b'9' => (),
                b'.' | b'e' | b'E' => is_float = true,
                b'+' | b'-' if is_float => (),
                _ => break,
            }
            self.at += 1;
        }
        let digits = &self.source[begin..self.at];
        let whole = self.source[first..self.at].split(['.', 'e', 'E']).next().unwrap_or("");
        let fraction = digits.split('.').nth(1);
        let fraction_ok = fraction.is_none_or(|f| f.starts_with(|c: char| c.is_ascii_digit()));
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || !fraction_ok {
            return self.fail("a number is malformed");
        }
        if is_float {
            return match digits.parse::<f64>() {
                Ok(f) => Ok(Value::Float(f)),
                Err(_) => self.fail("a number is malformed"),
            };
        }
        match digits.parse() {
            Ok(i) => Ok(Value::Int(i)),
            Err(_) if digits.len() <= DIGITS_MAX => Ok(Value::Big(digits.into())),
            Err(_) => self.fail("an integer has too many digits"),
        }
    }
    fn string(&mut self) -> Res<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.source[self.at..];
            let Some(end) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') else {
                return self.fail("a string is not closed");
            };
            out.push_str(&rest[..end]);
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                _ => return self.fail("a control character is in a string"),
            }
        }
    }
    fn escape(&mut self, out: &mut String) -> Res<()> {
        let kind = self.source.as_bytes().get(self.at + 1).copied();
        self.at += 2;
        out.push(match kind {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(c @ (b'"' | b'\\' | b'/')) => c as char,
            Some(b'u') => {
                let high = self.unit()?;
                let is_pair = (0xd800..0xdc00).contains(&high) && self.source[self.at..].starts_with("\\u");
                let code = if is_pair {
                    self.at += 2;
                    let low = self.unit()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return self.fail("half of a surrogate pair stands alone");
                    }
                    0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    high
                };
                match char::from_u32(code) {
                    Some(c) => c,
                    None => return self.fail("half of a surrogate pair stands alone"),
                }
            }
            _ => {
                self.at -= 1;
                return self.fail("a bad escape");
            }
        });
        Ok(())
    }
    fn unit(&mut self) -> Res<u32> {
        let digits = self.source.as_bytes().get(self.at..self.at + 4).unwrap_or(b"");
        let ok = digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).unwrap_or("");
        match u32::from_str_radix(text, 16) {
            Ok(unit) if ok => {
                self.at += 4;
                Ok(unit)
            }
            _ => self.fail("a bad \\u escape"),
        }
    }
}

/// transformers' tojson: json.dumps with ensure_ascii=False and no HTML escapes.
pub fn filter(value: &Value, args: Args) -> Res<Value> {
    let [ascii, indent, separators, sorts] =
        args.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(s)) => Some(s.to_string()),
        Some(v) => Some(" ".repeat(int(&v, "tojson")?.clamp(0, 1000) as usize)),
    };
    let comma = if indent.is_some() { "," } else { ", " };
    let (item, key) = match separators {
        None | Some(Value::None) => (comma.into(), ": ".into()),
        Some(v) => match &v.iterate()?[..] {
            [item, key] => (text_of(item, "tojson")?, text_of(key, "tojson")?),
            _ => return fail("tojson: separators must be two strings"),
        },
    };
    let sorts = sorts.is_some_and(|v| v.truth());
    let style = Style { indent, item, key, sorts, ascii: ascii.is_some_and(|v| v.truth()) };
    let mut out = String::new();
    style.dump(value, 0, &mut out)?;
    Ok(Value::str(out))
}
struct Style {
    indent: Option<String>,
    item: super::Str,
    key: super::Str,
    sorts: bool,
    ascii: bool,
}
impl Style {
    fn dump(&self, value: &Value, depth: usize, out: &mut String) -> Res<()> {
        if out.len() > super::TEXT_BYTES_MAX {
            return fail("tojson: the text becomes too large");
        }
        match value {
            Value::None => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(_) | Value::Big(_) => value.write(out)?,
            Value::Float(f) => out.push_str(&float(*f)),
            Value::Str(s) | Value::Safe(s) => self.text(s, out),
            Value::List(items) | Value::Tuple(items) if items.items.is_empty() => out.push_str("[]"),
            Value::List(items) | Value::Tuple(items) => {
                out.push('[');
                for (i, item) in items.items.iter().enumerate() {
                    self.begin(i, depth + 1, out);
                    self.dump(item, depth + 1, out)?;
                }
                self.line(depth, out);
                out.push(']');
            }
            Value::Dict(dict) if dict.len() == 0 => out.push_str("{}"),
            Value::Dict(dict) => {
                let mut members: Vec<(&Value, &Value)> = dict.iter().collect();
                if self.sorts {
                    if members.iter().any(|(k, _)| k.as_str().is_none()) {
                        return fail("tojson: sorting keys that are no texts is not supported");
                    }
                    members.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
                }
                out.push('{');
                for (i, (key, item)) in members.into_iter().enumerate() {
                    self.begin(i, depth + 1, out);
                    match key {
                        Value::Str(s) | Value::Safe(s) => self.text(s, out),
                        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                            out.push('"');
                            self.dump(key, depth, out)?;
                            out.push('"');
                        }
                        other => {
                            return fail(format!("keys must be str, int, float, bool or None, not {}", other.type_name()))
                        }
                    }
                    out.push_str(&self.key);
                    self.dump(item, depth + 1, out)?;
                }
                self.line(depth, out);
                out.push('}');
            }
            other => return fail(format!("Object of type {} is not JSON serializable", other.type_name())),
        }
        Ok(())
    }
    fn begin(&self, i: usize, depth: usize, out: &mut String) {
        out.push_str(if i > 0 { &self.item } else { "" });
        self.line(depth, out);
    }
    fn line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    }
    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c if !self.ascii || (' '..='~').contains(&c) => out.push(c),
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        out.push('"');
    }
}
fn float(f: f64) -> String {
    match f {
        _ if f.is_nan() => "NaN".into(),
        _ if f.is_infinite() => if f > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        _ => text::float(f),
    }
}
