// gpu/hf/rust/src/jinja/scope.rs - which scope a name belongs to. Jinja2 decides this before it
// renders: a name that a scope assigns anywhere is that scope's own from its begin.
use super::ast::{Expr, For, Kind, Load, Macro, Node, Scope, Statement, Str, Target};
use super::{fail, filters, tests, Res};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Fills the scopes of all nodes; returns the template's own.
pub fn resolve(nodes: &mut [Node]) -> Res<Scope> {
    let mut symbols = Symbols::default();
    symbols.read(nodes);
    inner(nodes, &[&symbols])?;
    Ok(symbols.loads)
}

#[derive(Clone, Default)]
struct Symbols {
    refs: BTreeSet<Str>,
    loads: Scope,
    stores: BTreeSet<Str>,
    outer: Vec<BTreeSet<Str>>, // the refs of the scopes around, each
}
impl Symbols {
    fn within(outer: &[&Symbols]) -> Symbols {
        Symbols { outer: outer.iter().map(|s| s.refs.clone()).collect(), ..Symbols::default() }
    }
    fn is_outer(&self, name: &Str) -> bool {
        self.outer.iter().any(|refs| refs.contains(name))
    }
    fn define(&mut self, name: &Str, load: Load) {
        self.refs.insert(name.clone());
        match self.loads.iter_mut().find(|(n, _)| n == name) {
            Some(place) => place.1 = load,
            None => self.loads.push((name.clone(), load)),
        }
    }
    fn parameter(&mut self, name: &Str) {
        self.stores.insert(name.clone());
        self.define(name, Load::Parameter);
    }
    fn load(&mut self, name: &Str) {
        if !self.refs.contains(name) && !self.is_outer(name) {
            self.define(name, Load::Context);
        }
    }
    fn store(&mut self, name: &Str) {
        self.stores.insert(name.clone());
        if !self.refs.contains(name) {
            self.define(name, if self.is_outer(name) { Load::Outer } else { Load::Undefined });
        }
    }
    fn expr(&mut self, expr: &Expr) {
        expr.names(&mut |name| self.load(name));
    }
    fn target(&mut self, target: &Target, is_parameter: bool) {
        target.each(&mut |t| match t {
            Target::Name(name) if is_parameter => self.parameter(name),
            Target::Name(name) => self.store(name),
            Target::Member(name, _) => self.load(name),
            Target::Tuple(_) => (),
        });
    }
    fn read(&mut self, nodes: &[Node]) {
        for node in nodes {
            match &node.what {
                Statement::Print(e) => self.expr(e),
                Statement::Set(target, e) => {
                    self.expr(e);
                    self.target(target, false);
                }
                Statement::SetBlock { target, .. } => self.target(target, false),
                Statement::If(branches, otherwise) => self.branches(branches, otherwise),
                Statement::For(f) => self.expr(&f.iter),
                Statement::Macro(m) => m.name.iter().for_each(|name| self.store(name)),
                Statement::Call(e, _) | Statement::Filter { filter: e, .. } => self.expr(e),
                Statement::With { values, .. } => values.iter().for_each(|e| self.expr(e)),
                _ => (),
            }
        }
    }
    fn branches(&mut self, branches: &[(Expr, Vec<Node>)], otherwise: &[Node]) {
        self.expr(&branches[0].0);
        let before = self.clone();
        let mut made = vec![before.clone()];
        made[0].read(&branches[0].1);
        let mut others = before.clone(); // all elif together, as nested ifs
        for (test, body) in &branches[1..] {
            others.branches_one(test, body);
        }
        let mut last = before;
        last.read(otherwise);
        made.extend([others, last]);
        let mut stores: BTreeSet<Str> = made.iter().flat_map(|s| s.stores.iter().cloned()).collect();
        stores.retain(|name| !self.stores.contains(name));
        for branch in &made {
            for (name, load) in &branch.loads {
                self.define(name, *load);
            }
            self.stores.extend(branch.stores.iter().cloned());
        }
        for name in &stores {
            self.define(name, if self.is_outer(name) { Load::Outer } else { Load::Context });
        }
    }
    fn branches_one(&mut self, test: &Expr, body: &[Node]) {
        self.expr(test);
        let before = self.clone();
        let mut inside = before.clone();
        inside.read(body);
        for (name, load) in &inside.loads {
            self.define(name, *load);
        }
        self.stores.extend(inside.stores.iter().cloned());
        for name in inside.stores.difference(&before.stores) {
            self.define(name, if self.is_outer(name) { Load::Outer } else { Load::Context });
        }
    }
}

fn body(nodes: &mut [Node], symbols: &Symbols, outer: &[&Symbols]) -> Res<Scope> {
    let mut all = outer.to_vec();
    all.push(symbols);
    inner(nodes, &all)?;
    Ok(symbols.loads.clone())
}
/// The scopes inside of `nodes`, whose own scope is the last of `outer`.
fn inner(nodes: &mut [Node], outer: &[&Symbols]) -> Res<()> {
    let not_shared = "a part of the template is shared";
    for node in nodes {
        match &mut node.what {
            Statement::If(branches, otherwise) => {
                for (_, body) in branches {
                    inner(body, outer)?;
                }
                inner(otherwise, outer)?;
            }
            Statement::For(f) => for_loop(Arc::get_mut(f).ok_or(not_shared)?, outer)?,
            Statement::Macro(m) | Statement::Call(_, m) | Statement::Generation(m) => {
                macro_body(Arc::get_mut(m).ok_or(not_shared)?, outer)?
            }
            Statement::SetBlock { body: nodes, scope, .. } => {
                let mut symbols = Symbols::within(outer);
                symbols.read(nodes);
                *scope = body(nodes, &symbols, outer)?;
            }
            Statement::Filter { filter, body: nodes, scope } => {
                let mut symbols = Symbols::within(outer);
                symbols.read(nodes);
                symbols.expr(filter);
                *scope = body(nodes, &symbols, outer)?;
            }
            Statement::With { targets, body: nodes, scope, .. } => {
                let mut symbols = Symbols::within(outer);
                targets.iter().for_each(|t| symbols.target(t, true));
                symbols.read(nodes);
                *scope = body(nodes, &symbols, outer)?;
            }
            _ => (),
        }
    }
    Ok(())
}
fn for_loop(f: &mut For, outer: &[&Symbols]) -> Res<()> {
    f.has_loop = f.recursive || reads(&f.body, "loop");
    let mut symbols = Symbols::within(outer);
    if f.has_loop {
        symbols.parameter(&"loop".into());
    }
    symbols.target(&f.target, true);
    symbols.read(&f.body);
    if stores(&f.body, "loop") || assigns(&f.target, "loop") {
        return fail("Can't assign to special loop variable in for-loop target");
    }
    f.scope = body(&mut f.body, &symbols, outer)?;
    let mut symbols = Symbols::within(outer);
    symbols.target(&f.target, true);
    f.test.iter().for_each(|e| symbols.expr(e));
    f.test_scope = symbols.loads;
    let mut symbols = Symbols::within(outer);
    symbols.read(&f.otherwise);
    f.otherwise_scope = body(&mut f.otherwise, &symbols, outer)?;
    Ok(())
}
fn macro_body(m: &mut Macro, outer: &[&Symbols]) -> Res<()> {
    let mut symbols = Symbols::within(outer);
    m.parameters.iter().for_each(|p| symbols.parameter(p));
    m.defaults.iter().for_each(|e| symbols.expr(e));
    symbols.read(&m.body);
    if reads(&m.body, "caller") {
        if let Some(i) = m.parameters.iter().position(|p| **p == *"caller") {
            if i + m.defaults.len() < m.parameters.len() {
                return fail("the special \"caller\" argument must be omitted or be given a default");
            }
        } else {
            symbols.parameter(&"caller".into());
        }
        m.takes_caller = true;
    }
    for (name, takes) in [("kwargs", &mut m.takes_kwargs), ("varargs", &mut m.takes_varargs)] {
        *takes = reads(&m.body, name) && !m.parameters.iter().any(|p| **p == *name);
        if *takes {
            symbols.parameter(&name.into());
        }
    }
    m.scope = body(&mut m.body, &symbols, outer)?;
    Ok(())
}
fn assigns(target: &Target, name: &str) -> bool {
    let mut found = false;
    target.each(&mut |t| found |= matches!(t, Target::Name(n) if **n == *name));
    found
}
fn stores(nodes: &[Node], name: &str) -> bool {
    nodes.iter().any(|node| match &node.what {
        Statement::Set(target, _) => assigns(target, name),
        Statement::SetBlock { target, body, .. } => assigns(target, name) || stores(body, name),
        Statement::If(branches, otherwise) => branches.iter().any(|(_, b)| stores(b, name)) || stores(otherwise, name),
        Statement::For(f) => assigns(&f.target, name) || stores(&f.body, name) || stores(&f.otherwise, name),
        Statement::Macro(m) | Statement::Call(_, m) | Statement::Generation(m) => stores(&m.body, name),
        Statement::Filter { body, .. } => stores(body, name),
        Statement::With { targets, body, .. } => targets.iter().any(|t| assigns(t, name)) || stores(body, name),
        _ => false,
    })
}
/// Whether the name is read, here or below.
fn reads(nodes: &[Node], name: &str) -> bool {
    let in_expr = |e: &Expr| {
        let mut found = false;
        e.names(&mut |n| found |= **n == *name);
        found
    };
    nodes.iter().any(|node| match &node.what {
        Statement::Print(e) | Statement::Set(_, e) => in_expr(e),
        Statement::SetBlock { filter, body, .. } => filter.iter().any(in_expr) || reads(body, name),
        Statement::If(branches, otherwise) => {
            branches.iter().any(|(e, b)| in_expr(e) || reads(b, name)) || reads(otherwise, name)
        }
        Statement::For(f) => {
            in_expr(&f.iter) || f.test.iter().any(in_expr) || reads(&f.body, name) || reads(&f.otherwise, name)
        }
        Statement::Macro(m) | Statement::Generation(m) => m.defaults.iter().any(in_expr) || reads(&m.body, name),
        Statement::Call(e, m) => in_expr(e) || m.defaults.iter().any(in_expr) || reads(&m.body, name),
        Statement::Filter { filter, body, .. } => in_expr(filter) || reads(body, name),
        Statement::With { values, body, .. } => values.iter().any(in_expr) || reads(body, name),
        _ => false,
    })
}

/// A filter or test that nobody knows fails the template, unless an `if` decides about it.
pub fn known_names(nodes: &[Node], soft: bool) -> Res<()> {
    for node in nodes {
        let check = |e: &Expr| known(e, soft);
        match &node.what {
            Statement::Print(e) | Statement::Set(_, e) => check(e)?,
            Statement::SetBlock { filter, body, .. } => {
                filter.iter().try_for_each(check)?;
                known_names(body, false)?;
            }
            Statement::If(branches, otherwise) => {
                for (e, body) in branches {
                    known(e, true)?;
                    known_names(body, true)?;
                }
                known_names(otherwise, true)?;
            }
            Statement::For(f) => {
                check(&f.iter)?;
                f.test.iter().try_for_each(|e| known(e, false))?;
                known_names(&f.body, false)?;
                known_names(&f.otherwise, false)?;
            }
            Statement::Macro(m) | Statement::Generation(m) => known_names(&m.body, false)?,
            Statement::Call(e, m) => {
                check(e)?;
                known_names(&m.body, false)?;
            }
            Statement::Filter { filter, body, .. } => {
                known(filter, false)?;
                known_names(body, false)?;
            }
            Statement::With { values, body, .. } => {
                values.iter().try_for_each(check)?;
                known_names(body, false)?;
            }
            _ => (),
        }
    }
    Ok(())
}
fn known(expr: &Expr, soft: bool) -> Res<()> {
    match &expr.kind {
        Kind::Filter(_, name, _) if !soft && !filters::is_known(name) => {
            return fail(format!("No filter named '{name}'."));
        }
        Kind::Test(_, name, _) if !soft && !tests::is_known(name) => {
            return fail(format!("No test named '{name}'."));
        }
        _ => (),
    }
    let soft = soft || matches!(expr.kind, Kind::Cond { .. });
    let mut result = Ok(());
    expr.kind.each(&mut |e| {
        if result.is_ok() {
            result = known(e, soft);
        }
    });
    result
}
