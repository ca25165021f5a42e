// gpu/hf/rust/src/jinja/lexer.rs - Jinja2's tokens, with trim_blocks and lstrip_blocks as
// transformers sets them.
use super::ast::Str;
use super::text::is_space;
use super::{fail, Res};

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Data(Str),
    Begin(Tag),
    End(Tag),
    Name(Str),
    Text(Str),
    Int(i128),
    Float(f64),
    Op(&'static str),
    Eof,
}
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tag {
    Block,
    Variable,
}
// Longest first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";",
];

pub fn tokens(source: &str) -> Res<Vec<(u32, Token)>> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop(); // keep_trailing_newline is off
    }
    let mut lexer = Lexer { source: &source, at: 0, line: 1, counted: 0, out: Vec::new() };
    lexer.root()?;
    lexer.push(Token::Eof);
    Ok(lexer.out)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    counted: usize, // line ends before this place are in `line`
    out: Vec<(u32, Token)>,
}
impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }
    fn push(&mut self, token: Token) {
        let passed = self.source.as_bytes()[self.counted..self.at].iter().filter(|&&b| b == b'\n');
        self.line += passed.count() as u32;
        self.counted = self.at;
        self.out.push((self.line, token));
    }
    fn fail<T>(&mut self, why: &str) -> Res<T> {
        let before = &self.source[..self.at];
        fail(format!("syntax error: {why} (line {})", before.matches('\n').count() + 1))
    }
    fn data(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(Token::Data(text.into()));
        }
    }
    fn root(&mut self) -> Res<()> {
        let mut line_starting = true;
        while !self.rest().is_empty() {
            let rest = self.rest();
            let opener = rest.char_indices().find(|&(i, c)| {
                c == '{' && matches!(rest.as_bytes().get(i + 1), Some(b'%' | b'{' | b'#'))
            });
            let Some((begin, _)) = opener else {
                self.data(rest);
                self.at = self.source.len();
                break;
            };
            let kind = rest.as_bytes()[begin + 1];
            let sign = rest.as_bytes().get(begin + 2).copied().filter(|b| matches!(b, b'-' | b'+'));
            let text = before_tag(&rest[..begin], sign, kind != b'{', line_starting);
            self.data(text);
            self.at += begin + 2 + usize::from(sign.is_some());
            match kind {
                b'#' => {
                    let Some(end) = self.rest().find("#}") else {
                        return self.fail("missing end of comment tag");
                    };
                    self.at += end;
                    let mark = self.source.as_bytes()[self.at - 1];
                    // {#-#}: the sign belongs to the begin only
                    let mark = if end > 0 { mark } else { b' ' };
                    self.at += 2;
                    self.after_tag(mark, true);
                }
                b'%' if self.raw_begin() => self.raw()?,
                _ => self.tag(if kind == b'%' { Tag::Block } else { Tag::Variable })?,
            }
            line_starting = self.source[..self.at].ends_with('\n');
        }
        Ok(())
    }
    /// What a tag's end takes of the text behind it.
    fn after_tag(&mut self, mark: u8, trims: bool) {
        if mark == b'-' {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_space).len();
        } else if trims && mark != b'+' && self.rest().starts_with('\n') {
            self.at += 1;
        }
    }
    fn raw_begin(&mut self) -> bool {
        let rest = self.rest().trim_start_matches(is_space);
        let Some(rest) = rest.strip_prefix("raw") else { return false };
        let rest = rest.trim_start_matches(is_space);
        let mark = if rest.starts_with("-%}") { b'-' } else { b' ' };
        let Some(rest) = rest.strip_prefix("-%}").or(rest.strip_prefix("%}")) else { return false };
        self.at = self.source.len() - rest.len();
        self.after_tag(mark, false);
        true
    }
    fn raw(&mut self) -> Res<()> {
        let body = self.rest();
        let mut from = 0;
        while let Some(begin) = body[from..].find("{%").map(|i| i + from) {
            let sign = body.as_bytes().get(begin + 2).copied().filter(|b| matches!(b, b'-' | b'+'));
            let tag = body[begin + 2 + usize::from(sign.is_some())..].trim_start_matches(is_space);
            let tag = tag.strip_prefix("endraw").map(|t| t.trim_start_matches(is_space));
            let end = tag.and_then(|t| {
                let mark = t.as_bytes().first().copied().filter(|b| matches!(b, b'-' | b'+'));
                t[usize::from(mark.is_some())..].strip_prefix("%}").map(|t| (mark, t))
            });
            if let Some((mark, after)) = end {
                // Nothing begins a line here: what was matched last is the raw tag.
                let starting = self.source[..self.at].ends_with('\n');
                let text = before_tag(&body[..begin], sign, true, starting);
                self.data(text);
                self.at = self.source.len() - after.len();
                self.after_tag(mark.unwrap_or(b' '), true);
                return Ok(());
            }
            from = begin + 2;
        }
        self.fail("missing end of raw directive")
    }
    fn tag(&mut self, tag: Tag) -> Res<()> {
        self.push(Token::Begin(tag));
        let end = if tag == Tag::Block { "%}" } else { "}}" };
        let mut open: Vec<&str> = Vec::new();
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return self.fail("unexpected end of template");
            };
            if open.is_empty() {
                let signed = c == '-' || (c == '+' && tag == Tag::Block);
                if rest.starts_with(end) || (signed && rest[1..].starts_with(end)) {
                    self.push(Token::End(tag));
                    self.at += end.len() + usize::from(signed);
                    self.after_tag(if signed { c as u8 } else { b' ' }, tag == Tag::Block);
                    return Ok(());
                }
            }
            if is_space(c) {
                self.at += c.len_utf8();
            } else if c.is_ascii_digit() {
                self.number()?;
            } else if c == '_' || c.is_alphanumeric() {
                let size = rest.find(|c: char| c != '_' && !c.is_alphanumeric());
                let name = &rest[..size.unwrap_or(rest.len())];
                if !name.is_ascii() {
                    return self.fail("only ASCII letters can be in names");
                }
                self.push(Token::Name(name.into()));
                self.at += name.len();
            } else if c == '\'' || c == '"' {
                self.string(c)?;
            } else if let Some(op) = OPERATORS.into_iter().find(|op| rest.starts_with(op)) {
                match op {
                    "{" | "[" | "(" => open.push(op),
                    "}" | "]" | ")" => {
                        let wanted = match open.pop() {
                            Some("{") => "}",
                            Some("[") => "]",
                            Some(_) => ")",
                            None => "",
                        };
                        if wanted != op {
                            return self.fail(&format!("unexpected '{op}'"));
                        }
                    }
                    _ => (),
                }
                self.push(Token::Op(op));
                self.at += op.len();
            } else {
                return self.fail(&format!("unexpected character {c:?}"));
            }
        }
    }
    fn number(&mut self) -> Res<()> {
        let rest = self.rest();
        let digits = |from: usize| {
            let tail = &rest[from..];
            let end = tail.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(tail.len());
            // an underscore stands between two digits
            let mut run = &tail[..end];
            if let Some(two) = run.find("__") {
                run = &run[..two];
            }
            let run = run.trim_end_matches('_');
            if run.starts_with('_') { 0 } else { run.len() }
        };
        let whole = digits(0);
        let mut end = whole;
        if rest[end..].starts_with('.') {
            let fraction = digits(end + 1);
            end += if fraction > 0 { fraction + 1 } else { 0 };
        }
        let is_fraction = end > whole;
        if rest[end..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(end + 1 + sign);
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let follows_dot = self.at > 0 && self.source.as_bytes()[self.at - 1] == b'.';
        if !follows_dot && (is_fraction || end > whole) {
            let text = rest[..end].replace('_', "");
            self.push(Token::Float(text.parse().map_err(|_| format!("bad number {text}"))?));
            self.at += end;
            return Ok(());
        }
        let lower = rest[..rest.len().min(2)].to_ascii_lowercase();
        let (radix, from) = match lower.as_str() {
            "0b" => (2, 2),
            "0o" => (8, 2),
            "0x" => (16, 2),
            _ => (10, 0),
        };
        let mut size = from;
        let bytes = rest.as_bytes();
        let is_digit = |i: usize| bytes.get(i).is_some_and(|b| (*b as char).is_digit(radix));
        while is_digit(size) || (bytes.get(size) == Some(&b'_') && is_digit(size + 1)) {
            size += 1;
        }
        let mut text = rest[from..size].replace('_', "");
        if radix == 10 && text.starts_with('0') && !text.trim_matches('0').is_empty() {
            text = "0".into(); // 012 is 0 and then 12, which no rule wants
            size = 1;
        }
        if size == from {
            return self.fail("unexpected number");
        }
        let Ok(value) = i128::from_str_radix(&text, radix) else {
            return self.fail("an integer of more than 38 digits");
        };
        self.push(Token::Int(value));
        self.at += size;
        Ok(())
    }
    fn string(&mut self, quote: char) -> Res<()> {
        let rest = self.rest();
        let mut end = 1;
        loop {
            match rest[end..].chars().next() {
                Some('\\') => {
                    let next = rest[end + 1..].chars().next().map_or(0, char::len_utf8);
                    end += 1 + next;
                }
                Some(c) if c == quote => break,
                Some(c) => end += c.len_utf8(),
                None => return self.fail(&format!("unexpected character {quote:?}")),
            }
        }
        let value = match unescaped(&rest[1..end]) {
            Ok(value) => value,
            Err(why) => return self.fail(&why),
        };
        self.push(Token::Text(value.into()));
        self.at += end + 1;
        Ok(())
    }
}
/// What a tag's begin leaves of the text before it.
fn before_tag(text: &str, sign: Option<u8>, lstrips: bool, line_starting: bool) -> &str {
    if sign == Some(b'-') {
        return text.trim_end_matches(is_space);
    }
    if sign.is_some() || !lstrips {
        return text;
    }
    let line = text.rfind('\n').map_or(0, |i| i + 1);
    if (line > 0 || line_starting) && text[line..].chars().all(is_space) {
        return &text[..line];
    }
    text
}
/// Python's unicode-escape.
fn unescaped(text: &str) -> Res<String> {
    let mut out = String::with_capacity(text.len());
    let mut at = text.char_indices();
    while let Some((i, c)) = at.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some((_, kind)) = at.next() else { return fail("\\ at end of string") };
        let mut number = |radix: u32, least: usize, most: usize, from: usize| -> Res<char> {
            let run = text[from..].chars().take(most).take_while(|c| c.is_digit(radix)).count();
            if run < least {
                return fail("truncated escape");
            }
            for _ in 0..run - (from == i + 1) as usize {
                at.next();
            }
            let code = u32::from_str_radix(&text[from..from + run], radix).unwrap_or(u32::MAX);
            char::from_u32(code).ok_or_else(|| "an escape that is no character".to_string())
        };
        match kind {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'v' => out.push('\x0b'),
            '\\' | '\'' | '"' => out.push(kind),
            '\n' => (),
            'x' => out.push(number(16, 2, 2, i + 2)?),
            'u' => out.push(number(16, 4, 4, i + 2)?),
            'U' => out.push(number(16, 8, 8, i + 2)?),
            '0'..='7' => out.push(number(8, 1, 3, i + 1)?),
            'N' => return fail("\\N{..} in a string is not supported"),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Ok(out)
}
