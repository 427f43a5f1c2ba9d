//! What is refused in a template before it is compiled: what could make little text into very much.
//!
//! Fuel bounds the steps of a template, not what a step makes: forty times `{% set a = a ~ a %}` would be a thousand
//! gigabytes. So each expression gets a bound of how many times the size of an input its value can have, and a template in
//! which it grows past [`MAX_GROWTH`] is refused. What filters make is bounded while they run.

use std::collections::HashMap;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Token, parse, parse_expr, tokenize};
use minijinja::value::ValueKind;

use super::functions::patterns;
use super::{TemplateError, abbreviate, engine};

/// How many times as large as an input a value may become by joining.
const MAX_GROWTH: u64 = 256;
/// Filters and functions whose result is always a number.
const NUMERIC: [&str; 8] = [
    "abs",
    "date_unix",
    "float",
    "int",
    "length",
    "number",
    "round",
    "sum",
];

/// The most operators in one expression: the parser calls itself for each, and a stack has an end.
const MAX_OPERATORS: usize = 200;
/// The most `elif` in one template, for the same reason.
const MAX_BRANCHES: usize = 100;

/// Whether the parser can read it without a danger to its stack.
pub(super) fn shallow(source: &str, is_expression: bool) -> Result<(), TemplateError> {
    let (mut operators, mut branches) = (0, 0);
    for token in tokenize(source, is_expression, Default::default()) {
        // What is no token is told by the parser.
        let Ok((token, _)) = token else { break };
        match token {
            Token::VariableStart | Token::BlockStart => operators = 0,
            Token::Ident("elif") => branches += 1,
            Token::Ident(name) if !matches!(name, "and" | "or" | "not" | "in" | "is" | "if" | "else") => {}
            Token::TemplateData(_)
            | Token::VariableEnd
            | Token::BlockEnd
            | Token::Str(_)
            | Token::String(_) => {}
            Token::Int(_) | Token::Int128(_) | Token::Float(_) | Token::Comma | Token::Colon => {}
            Token::BracketClose | Token::ParenClose | Token::BraceClose => {}
            _ => operators += 1,
        }
        if operators > MAX_OPERATORS {
            return Err(TemplateError(format!(
                "an expression has at most {MAX_OPERATORS} operators, in `{}`",
                abbreviate(source)
            )));
        }
        if branches > MAX_BRANCHES {
            return Err(TemplateError(format!(
                "a template has at most {MAX_BRANCHES} `elif`"
            )));
        }
    }
    Ok(())
}

/// Looks through an expression, which is [`shallow`].
pub(super) fn expression(source: &str, inner: &str) -> Result<(), TemplateError> {
    let parsed = parse_expr(inner).map_err(|error| TemplateError::from_engine(source, &error))?;
    Check::new(source).size(&parsed).map(|_| ())
}

/// Looks through a template, which is [`shallow`].
pub(super) fn text(source: &str) -> Result<(), TemplateError> {
    let parsed = parse(source, super::TEXT, Default::default())
        .map_err(|error| TemplateError::from_engine(source, &error))?;
    Check::new(source).statement(&parsed, false).map(|_| ())
}

struct Check<'a> {
    source: &'a str,
    /// How large what was set can be.
    set: HashMap<String, u64>,
}

type Size = Result<u64, TemplateError>;

impl<'a> Check<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            set: HashMap::new(),
        }
    }

    fn refuse<T>(&self, what: &str) -> Result<T, TemplateError> {
        Err(TemplateError(format!("{what}, in `{}`", abbreviate(self.source))))
    }

    fn bounded(&self, size: u64) -> Size {
        if size > MAX_GROWTH {
            return self.refuse(&format!(
                "a value here can become more than {MAX_GROWTH} times as large as what it is made of"
            ));
        }
        Ok(size)
    }

    /// How large what a statement writes can be. `is_kept`: it is kept as a value, by `{% set %}…{% endset %}`.
    fn statement(&mut self, statement: &Stmt<'_>, is_kept: bool) -> Size {
        match statement {
            Stmt::Template(template) => self.statements(&template.children, is_kept),
            Stmt::EmitExpr(emitted) => self.size(&emitted.expr),
            Stmt::EmitRaw(_) => Ok(0),
            Stmt::ForLoop(_) if is_kept => self.refuse(
                "a loop cannot stand in a block that is kept or filtered; `join` makes text of a list",
            ),
            Stmt::ForLoop(found) if found.recursive => self.refuse("a loop cannot be recursive"),
            Stmt::ForLoop(found) => {
                let item = self.size(&found.iter)?;
                self.assign(&found.target, item);
                if let Some(condition) = &found.filter_expr {
                    self.size(condition)?;
                }
                let body = self.statements(&found.body, is_kept)?;
                Ok(body.max(self.statements(&found.else_body, is_kept)?))
            }
            Stmt::IfCond(found) => {
                self.size(&found.expr)?;
                let first = self.statements(&found.true_body, is_kept)?;
                Ok(first.max(self.statements(&found.false_body, is_kept)?))
            }
            Stmt::WithBlock(found) => {
                for (target, value) in &found.assignments {
                    let size = self.size(value)?;
                    self.assign(target, size);
                }
                self.statements(&found.body, is_kept)
            }
            Stmt::Set(found) => {
                let size = self.size(&found.expr)?;
                self.assign(&found.target, size);
                Ok(0)
            }
            Stmt::SetBlock(found) => {
                let size = self.statements(&found.body, true)?;
                if let Some(filter) = &found.filter {
                    self.size(filter)?;
                }
                let size = self.bounded(size)?;
                self.assign(&found.target, size);
                Ok(0)
            }
            Stmt::AutoEscape(found) => self.statements(&found.body, is_kept),
            Stmt::FilterBlock(found) => {
                self.size(&found.filter)?;
                let size = self.statements(&found.body, true)?;
                self.bounded(size)
            }
            Stmt::Do(found) => self.arguments(0, &found.call.args),
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>], is_kept: bool) -> Size {
        statements.iter().try_fold(0, |sum: u64, statement| {
            Ok(sum.saturating_add(self.statement(statement, is_kept)?))
        })
    }

    fn assign(&mut self, target: &Expr<'_>, size: u64) {
        match target {
            Expr::Var(name) => {
                let known = self.set.entry(name.id.to_owned()).or_default();
                *known = size.max(*known);
            }
            Expr::List(targets) => targets.items.iter().for_each(|target| self.assign(target, size)),
            Expr::Tuple(targets) => targets.items.iter().for_each(|target| self.assign(target, size)),
            _ => {}
        }
    }

    /// How many times as large as an input the value can be.
    fn size(&mut self, expression: &Expr<'_>) -> Size {
        let size = match expression {
            Expr::Var(name) => self.set.get(name.id).copied().unwrap_or(1),
            Expr::Const(found) => u64::from(found.value.kind() != ValueKind::Number),
            Expr::Slice(slice) => {
                for part in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.size(part)?;
                }
                self.size(&slice.expr)?
            }
            Expr::UnaryOp(operation) => self.size(&operation.expr)?,
            Expr::BinOp(operation) => {
                let (left, right) = (self.size(&operation.left)?, self.size(&operation.right)?);
                match operation.op {
                    // The text of a number is an input like any other.
                    BinOpKind::Concat | BinOpKind::Add => left.max(1).saturating_add(right.max(1)),
                    BinOpKind::Mul => self.product((&operation.left, left), (&operation.right, right))?,
                    _ => left.max(right),
                }
            }
            Expr::Compare(comparison) => {
                self.size(&comparison.expr)?;
                for operation in &comparison.ops {
                    self.size(&operation.expr)?;
                }
                1
            }
            Expr::IfExpr(choice) => {
                self.size(&choice.test_expr)?;
                let first = self.size(&choice.true_expr)?;
                match &choice.false_expr {
                    Some(other) => first.max(self.size(other)?),
                    None => first,
                }
            }
            Expr::Filter(filter) => {
                let input = filter.expr.as_ref().map_or(Ok(0), |input| self.size(input))?;
                if !engine::has_filter(filter.name) {
                    return self.refuse(&format!("there is no filter `{}`", filter.name));
                }
                self.pattern(filter.name, &filter.args)?;
                self.arguments(input, &filter.args)?
            }
            Expr::Test(test) => {
                let input = self.size(&test.expr)?;
                if !engine::has_test(test.name) {
                    return self.refuse(&format!("there is no test `{}`", test.name));
                }
                self.arguments(input, &test.args)?;
                1
            }
            Expr::GetAttr(part) => self.size(&part.expr)?,
            Expr::GetItem(part) => {
                self.size(&part.subscript_expr)?;
                self.size(&part.expr)?
            }
            Expr::Call(call) => {
                self.callable(&call.expr)?;
                let callee = self.size(&call.expr)?;
                self.arguments(callee, &call.args)?
            }
            // What stands in the template is as long as the template at most.
            Expr::List(list) if list.as_const().is_some() => 1,
            Expr::List(list) => self.sum(&list.items)?,
            Expr::Tuple(tuple) => self.sum(&tuple.items)?,
            Expr::Map(map) => self.sum(&map.keys)?.saturating_add(self.sum(&map.values)?),
        };
        self.bounded(size)
    }

    fn sum(&mut self, expressions: &[Expr<'_>]) -> Size {
        expressions.iter().try_fold(0, |sum: u64, expression| {
            Ok(sum.saturating_add(self.size(expression)?))
        })
    }

    fn arguments(&mut self, input: u64, arguments: &[CallArg<'_>]) -> Size {
        arguments.iter().try_fold(input, |sum, argument| {
            let size = match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.size(value)?,
            };
            Ok(sum.saturating_add(size))
        })
    }

    /// Numbers are multiplied; a text or a list is repeated, which must be bounded.
    fn product(&self, left: (&Expr<'_>, u64), right: (&Expr<'_>, u64)) -> Size {
        let is_safe = is_float(left.0) || is_float(right.0) || (is_number(left.0) && is_number(right.0));
        if is_safe {
            return Ok(1);
        }
        for ((times, _), (_, size)) in [(left, right), (right, left)] {
            if let Expr::Const(times) = times
                && let Some(times) = times.value.as_usize()
            {
                return Ok(size.max(1).saturating_mul(times as u64));
            }
        }
        self.refuse("`*` could repeat a text without bound: `| float` or `| int` makes its sides numbers")
    }

    /// Values have no methods; a loop has.
    fn callable(&self, callee: &Expr<'_>) -> Result<(), TemplateError> {
        match callee {
            Expr::GetAttr(part) if !matches!(&part.expr, Expr::Var(name) if name.id == "loop") => {
                let name = part.name;
                self.refuse(&format!(
                    "there is no method `{name}`; filters are written `value | name`"
                ))
            }
            _ => Ok(()),
        }
    }

    /// A regular expression that stands in the template is known to be none before it is ever used.
    fn pattern(&self, filter: &str, arguments: &[CallArg<'_>]) -> Result<(), TemplateError> {
        if let Some(CallArg::Pos(Expr::Const(pattern))) = arguments.first()
            && filter.starts_with("regex_")
            && let Some(pattern) = pattern.value.as_str()
            && let Err(detail) = patterns::compile(pattern)
        {
            return self.refuse(&detail);
        }
        Ok(())
    }
}

fn is_float(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(found) => found.value.is_number() && !found.value.is_integer(),
        Expr::Filter(filter) => filter.name == "float",
        Expr::BinOp(operation) => matches!(operation.op, BinOpKind::Div),
        _ => false,
    }
}

fn is_number(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(found) => found.value.kind() == ValueKind::Number,
        Expr::Filter(filter) => NUMERIC.contains(&filter.name),
        Expr::UnaryOp(operation) => matches!(operation.op, UnaryOpKind::Neg),
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => true,
            BinOpKind::Add | BinOpKind::Mul => is_number(&operation.left) && is_number(&operation.right),
            _ => false,
        },
        _ => false,
    }
}
