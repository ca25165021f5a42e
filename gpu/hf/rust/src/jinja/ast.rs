// gpu/hf/rust/src/jinja/ast.rs - what the parser makes of a template; immutable and Send.
use std::sync::Arc;

pub type Str = Arc<str>;

/// Deep trees are walked and dropped by recursion.
pub const TREE_DEPTH_MAX: u32 = 250;

pub enum Const {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Str),
}
#[derive(Clone, Copy, PartialEq)]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}
#[derive(Clone, Copy, PartialEq)]
pub enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}
pub struct Expr {
    pub depth: u32,
    pub kind: Kind,
}
#[derive(Default)]
pub struct Arguments {
    pub plain: Vec<Expr>,
    pub named: Vec<(Str, Expr)>,
    pub list: Option<Box<Expr>>, // *list
    pub dict: Option<Box<Expr>>, // **dict
}
pub enum Kind {
    Const(Const),
    Name(Str),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attr(Box<Expr>, Str),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Arguments),
    /// Without a value: what a filter or set block captured.
    Filter(Option<Box<Expr>>, Str, Arguments),
    Test(Box<Expr>, Str, Arguments),
    Neg(Box<Expr>),
    Pos(Box<Expr>),
    Not(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Cmp, Expr)>),
    Concat(Vec<Expr>),
    Cond { test: Box<Expr>, yes: Box<Expr>, no: Option<Box<Expr>>, line: u32 },
}
impl Arguments {
    pub fn each<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        self.plain.iter().for_each(&mut *f);
        self.named.iter().for_each(|(_, e)| f(e));
        self.list.iter().chain(&self.dict).for_each(|e| f(e));
    }
}
impl Expr {
    pub fn new(kind: Kind) -> Expr {
        let mut depth = 0;
        kind.each(&mut |e| depth = depth.max(e.depth));
        Expr { depth: depth + 1, kind }
    }
    pub fn is_constant(&self) -> bool {
        let mut found = false;
        self.names(&mut |_| found = true);
        !found
    }
    /// Every name that is read, here and below.
    pub fn names<'a>(&'a self, f: &mut dyn FnMut(&'a Str)) {
        if let Kind::Name(name) = &self.kind {
            f(name);
        }
        self.kind.each(&mut |e| e.names(f));
    }
}
impl Kind {
    /// The expressions right below, in source order.
    pub fn each<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match self {
            Kind::Const(_) | Kind::Name(_) => (),
            Kind::List(items) | Kind::Tuple(items) | Kind::Concat(items) => items.iter().for_each(f),
            Kind::Dict(items) => items.iter().for_each(|(k, v)| {
                f(k);
                f(v)
            }),
            Kind::Attr(e, _) | Kind::Neg(e) | Kind::Pos(e) | Kind::Not(e) => f(e),
            Kind::Item(a, b) | Kind::Binary(_, a, b) | Kind::And(a, b) | Kind::Or(a, b) => {
                f(a);
                f(b)
            }
            Kind::Slice(e, parts) => {
                f(e);
                parts.iter().flatten().for_each(f)
            }
            Kind::Call(e, arguments) | Kind::Test(e, _, arguments) => {
                f(e);
                arguments.each(f)
            }
            Kind::Filter(e, _, arguments) => {
                e.iter().for_each(|e| f(e));
                arguments.each(f)
            }
            Kind::Compare(e, others) => {
                f(e);
                others.iter().for_each(|(_, e)| f(e))
            }
            Kind::Cond { test, yes, no, .. } => {
                f(test);
                f(yes);
                no.iter().for_each(|e| f(e))
            }
        }
    }
}

/// What is assigned to.
pub enum Target {
    Name(Str),
    Member(Str, Str), // a namespace's
    Tuple(Vec<Target>),
}
impl Target {
    pub fn each<'a>(&'a self, f: &mut dyn FnMut(&'a Target)) {
        match self {
            Target::Tuple(items) => items.iter().for_each(|t| t.each(f)),
            one => f(one),
        }
    }
}

/// How a scope gets a name's value when it is entered.
#[derive(Clone, Copy, PartialEq)]
pub enum Load {
    Parameter,
    Context,
    Outer,
    Undefined,
}
pub type Scope = Vec<(Str, Load)>;

pub struct For {
    pub target: Target,
    pub iter: Expr,
    pub test: Option<Expr>,
    pub recursive: bool,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
    pub has_loop: bool,
    pub scope: Scope,
    pub test_scope: Scope,
    pub otherwise_scope: Scope,
}
/// A macro, or the body of a call or generation block.
pub struct Macro {
    pub name: Option<Str>,
    pub parameters: Vec<Str>,
    pub defaults: Vec<Expr>, // of the last parameters
    pub body: Vec<Node>,
    pub takes_caller: bool,
    pub takes_kwargs: bool,
    pub takes_varargs: bool,
    pub scope: Scope,
}
pub enum Statement {
    Text(Str),
    Print(Expr),
    Set(Target, Expr),
    SetBlock { target: Target, filter: Option<Expr>, body: Vec<Node>, scope: Scope },
    If(Vec<(Expr, Vec<Node>)>, Vec<Node>),
    For(Arc<For>),
    Macro(Arc<Macro>),
    Call(Expr, Arc<Macro>),
    Filter { filter: Expr, body: Vec<Node>, scope: Scope },
    With { targets: Vec<Target>, values: Vec<Expr>, body: Vec<Node>, scope: Scope },
    Generation(Arc<Macro>),
    Break,
    Continue,
}
pub struct Node {
    pub line: u32,
    pub what: Statement,
}
