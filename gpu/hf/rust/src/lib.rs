// gpu/hf/rust/src/lib.rs - the C ABI of kairo_hf.h over tokenizer, chat and rows.
//! Every entry point runs inside `guard`: errors and panics become a text, never an unwind into C.
mod chat;
mod grammar;
mod jinja;
mod rows;
mod tokenizer;
mod words;

use std::ffi::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Once;
use std::{ptr, slice, str};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Res<T> = Result<T, Error>;

/// A file that is damaged, where that is more than wrong input.
#[derive(Debug)]
pub struct Corrupt(pub String);
impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Corrupt {}

/// A boxed slice on its way to C. An empty one has a null pointer.
#[repr(C)]
pub struct Slice<T> {
    data: *mut T,
    size: usize,
}
impl<T> Slice<T> {
    fn new(values: Vec<T>) -> Self {
        let size = values.len();
        if size == 0 {
            return Slice { data: ptr::null_mut(), size: 0 };
        }
        Slice { data: Box::into_raw(values.into_boxed_slice()) as *mut T, size }
    }
    /// Safety: `self` came from `new` and is freed once.
    unsafe fn free(self) {
        if !self.data.is_null() {
            drop(Box::from_raw(ptr::slice_from_raw_parts_mut(self.data, self.size)));
        }
    }
}
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub begin: u64,
    pub end: u64,
}

/// Runs `f`; an error or a panic becomes `error` and -1, or -2 where something is damaged.
unsafe fn guard(error: *mut Slice<u8>, f: impl FnOnce() -> Res<()>) -> c_int {
    static QUIET: Once = Once::new();
    // A panic is an ordinary error here: its text goes to the caller, not to stderr.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let text = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return 0,
        Ok(Err(e)) => {
            *error = Slice::new(e.to_string().into_bytes());
            return if e.is::<Corrupt>() { -2 } else { -1 };
        }
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(s) => s.clone(),
            None => panic.downcast_ref::<&str>().unwrap_or(&"the decoder panicked").to_string(),
        },
    };
    *error = Slice::new(text.into_bytes());
    -1
}
unsafe fn bytes<'a>(data: *const c_char, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    slice::from_raw_parts(data as *const u8, size)
}
unsafe fn text<'a>(data: *const c_char, size: usize) -> Res<&'a str> {
    Ok(str::from_utf8(bytes(data, size)).map_err(|e| format!("not UTF-8: {e}"))?)
}
/// A text of the caller's.
#[repr(C)]
pub struct Text {
    data: *const c_char,
    size: usize,
}
impl Text {
    unsafe fn get<'a>(&self) -> Res<&'a str> {
        text(self.data, self.size)
    }
}
unsafe fn path(data: *const c_char, size: usize) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes(data, size)))
}

#[no_mangle]
pub unsafe extern "C" fn kh_bytes_free(b: Slice<u8>) {
    b.free()
}
#[no_mangle]
pub unsafe extern "C" fn kh_ids_free(b: Slice<u32>) {
    b.free()
}
#[no_mangle]
pub unsafe extern "C" fn kh_ranges_free(b: Slice<Range>) {
    b.free()
}

#[no_mangle]
pub unsafe extern "C" fn kh_tokenizer_load(
    file: *const c_char,
    file_size: usize,
    out: *mut *mut tokenizer::Tokenizer,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        *out = Box::into_raw(Box::new(tokenizer::load(&path(file, file_size))?));
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_tokenizer_free(t: *mut tokenizer::Tokenizer) {
    if !t.is_null() {
        drop(Box::from_raw(t));
    }
}
#[no_mangle]
pub unsafe extern "C" fn kh_tokenizer_encode(
    t: *const tokenizer::Tokenizer,
    data: *const c_char,
    size: usize,
    add_special: c_int,
    ids: *mut Slice<u32>,
    ranges: *mut Slice<Range>,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        let input = text(data, size)?;
        let (numbers, places) = tokenizer::encode(&*t, input, add_special != 0, !ranges.is_null())?;
        *ids = Slice::new(numbers);
        if !ranges.is_null() {
            *ranges = Slice::new(places);
        }
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_tokenizer_decode(
    t: *const tokenizer::Tokenizer,
    ids: *const u32,
    count: usize,
    skip_special: c_int,
    out: *mut Slice<u8>,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        let ids = if count == 0 { &[] } else { slice::from_raw_parts(ids, count) };
        *out = Slice::new((*t).whole.decode(ids, skip_special != 0)?.into_bytes());
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_tokenizer_id(
    t: *const tokenizer::Tokenizer,
    token: *const c_char,
    size: usize,
) -> i64 {
    let mut unused = Slice { data: ptr::null_mut(), size: 0 };
    let mut found = -1;
    guard(&mut unused, || {
        found = (*t).whole.token_to_id(text(token, size)?).map_or(-1, i64::from);
        Ok(())
    });
    unused.free();
    found
}

#[no_mangle]
pub unsafe extern "C" fn kh_chat_compile(
    source: *const c_char,
    size: usize,
    out: *mut *mut chat::Template,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        *out = Box::into_raw(Box::new(chat::compile(text(source, size)?)));
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_chat_free(t: *mut chat::Template) {
    if !t.is_null() {
        drop(Box::from_raw(t));
    }
}
#[no_mangle]
pub unsafe extern "C" fn kh_turns_read(
    messages: Text,
    tools: Text,
    variables: Text,
    more_variables: Text,
    out: *mut *mut chat::Turns,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        let variables = [variables.get()?, more_variables.get()?];
        *out = Box::into_raw(Box::new(chat::read(messages.get()?, tools.get()?, variables)?));
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_turns_free(turns: *mut chat::Turns) {
    if !turns.is_null() {
        drop(Box::from_raw(turns));
    }
}
#[no_mangle]
pub unsafe extern "C" fn kh_chat_render(
    template: *const chat::Template,
    turns: *const chat::Turns,
    messages: usize,
    add_generation_prompt: c_int,
    now_s: i64,
    out: *mut Slice<u8>,
    generated: *mut Slice<Range>,
    marked: *mut c_int,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        let chat = chat::render(&*template, &*turns, messages, add_generation_prompt != 0, now_s)?;
        *out = Slice::new(chat.text.into_bytes());
        *generated = Slice::new(chat.generated);
        *marked = c_int::from(chat.marked);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kh_vocabulary_load(
    file: *const c_char,
    file_size: usize,
    tokens: usize,
    stops: *const u32,
    stop_count: usize,
    out: *mut *mut grammar::Vocabulary,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        let stops = if stop_count == 0 { &[] } else { slice::from_raw_parts(stops, stop_count) };
        let v = grammar::vocabulary(&path(file, file_size), tokens, stops)?;
        *out = Box::into_raw(Box::new(v));
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_vocabulary_free(v: *mut grammar::Vocabulary) {
    if !v.is_null() {
        drop(Box::from_raw(v));
    }
}
#[no_mangle]
pub unsafe extern "C" fn kh_vocabulary_bytes(
    v: *const grammar::Vocabulary,
    token: u32,
    out: *mut Slice<u8>,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        *out = Slice::new(grammar::token_bytes(&*v, token).to_vec());
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_grammar_of_schema(
    v: *const grammar::Vocabulary,
    schema: *const c_char,
    size: usize,
    out: *mut *mut grammar::Grammar,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        *out = Box::into_raw(Box::new(grammar::of_schema(&*v, text(schema, size)?)?));
        Ok(())
    })
}
#[no_mangle]
pub unsafe extern "C" fn kh_grammar_free(g: *mut grammar::Grammar) {
    if !g.is_null() {
        drop(Box::from_raw(g));
    }
}
#[no_mangle]
pub unsafe extern "C" fn kh_grammar_mask(
    g: *mut grammar::Grammar,
    words: *mut u32,
    count: usize,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || grammar::mask(&mut *g, slice::from_raw_parts_mut(words, count)))
}
#[no_mangle]
pub unsafe extern "C" fn kh_grammar_take(
    g: *mut grammar::Grammar,
    token: u32,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || grammar::take(&mut *g, token))
}

type OnRow = extern "C" fn(*mut c_void, usize, *const c_char, usize) -> c_int;
#[no_mangle]
pub unsafe extern "C" fn kh_rows(
    file: *const c_char,
    file_size: usize,
    format: c_int,
    packing: c_int,
    bytes_max: u64,
    row_bytes_max: usize,
    rows_max: usize,
    on_row: OnRow,
    user: *mut c_void,
    count: *mut usize,
    error: *mut Slice<u8>,
) -> c_int {
    guard(error, || {
        let mut sink = rows::Sink {
            limits: rows::Limits { bytes: bytes_max, row_bytes: row_bytes_max, rows: rows_max },
            rows: 0,
            give: &mut |n, json| on_row(user, n, json.as_ptr() as *const c_char, json.len()) == 0,
        };
        let (format, packing) = (rows::Format::from_number(format)?, rows::Packing::from_number(packing)?);
        rows::read(&path(file, file_size), format, packing, &mut sink)?;
        *count = sink.rows;
        Ok(())
    })
}
