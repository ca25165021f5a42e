// gpu/hf/rust/src/jinja/mod.rs - chat templates as Jinja2 renders them inside of transformers
// (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls, generation blocks).
//! Equal to Python's to the byte, or an error: no template renders silently differently. What
//! Jinja2 has and this has not is refused by name. tests/parity/jinja_golden.py compares.
mod arguments;
mod ast;
mod call;
mod eval;
mod expression;
mod filters;
mod filters_sequence;
mod filters_text;
mod json;
mod lexer;
mod methods;
mod object;
mod ops;
mod parser;
mod printf;
mod scope;
mod statement;
mod tests;
mod text;
mod value;

pub use ast::Str;
pub use json::parse as parse_json;
pub use value::{Dict, Value};

pub type Res<T> = Result<T, String>;
pub(crate) fn fail<T>(why: impl Into<String>) -> Res<T> {
    Err(why.into())
}
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Steps of one rendering: a second or two; a chat of 4 MiB needs some millions.
const FUEL_MAX: u64 = 100_000_000;
/// Calls and blocks within each other, against the stack's end.
const DEPTH_MAX: u32 = 700;

/// A compiled template; any thread may render it.
pub struct Template {
    nodes: Vec<ast::Node>,
    scope: ast::Scope,
    pub has_generation: bool,
}
pub struct Rendered {
    pub text: String,
    /// What generation blocks made: byte ranges of text, as transformers calculates them.
    pub generated: Vec<(usize, usize)>,
}
impl Template {
    pub fn compile(source: &str) -> Res<Template> {
        let (mut nodes, has_generation) = parser::parse(source)?;
        scope::known_names(&nodes, false)?;
        let scope = scope::resolve(&mut nodes)?;
        Ok(Template { nodes, scope, has_generation })
    }
    /// now: what strftime_now gives for a format.
    pub fn render(&self, variables: &Dict, now: &dyn Fn(&str) -> Res<String>) -> Res<Rendered> {
        let mut render = eval::Render::new(variables, now);
        match render.template(&self.nodes, &self.scope) {
            Ok(()) => Ok(Rendered { text: render.out, generated: render.generated }),
            Err(why) => fail(format!("{why} (line {})", render.line)),
        }
    }
}
