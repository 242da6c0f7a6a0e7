//! A Rust file as the rules see it: tokens without comments, strings and test code.
//!
//! The compiler's own token rules come from `proc-macro2`, so that nested comments, raw strings,
//! lifetimes and macro bodies are what they are. Doc comments are attributes to it; they are kept
//! apart, for the one rule that is about them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::HashSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Lifetime(String),
    /// A punctuation character, or an opening or closing delimiter.
    Mark(char),
    Literal,
}

#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) token: Token,
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    /// Every token.
    pub(crate) all: Vec<At>,
    /// The tokens that are compiled into the product: without what is `cfg(test)`.
    pub(crate) product: Vec<At>,
    /// The lines of doc comments.
    pub(crate) docs: Vec<(usize, String)>,
    /// How many lines there are outside of what is `cfg(test)`.
    pub(crate) product_lines: usize,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let stream: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
        let mut all = Vec::new();
        let mut docs = Vec::new();
        flatten(stream, &mut all, &mut docs);
        let (product, test_lines) = without_tests(&all);
        Ok(Self {
            path: path.to_owned(),
            product,
            docs,
            product_lines: text.lines().count() - test_lines.len(),
            all,
        })
    }
}

impl At {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(this) if this == word)
    }

    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.token == Token::Mark(mark)
    }
}

/// Whether `tokens` begins with `pattern`, which is written with a space between any two tokens.
pub(crate) fn begins_with(tokens: &[At], pattern: &str) -> bool {
    let mut rest = tokens.iter();
    pattern.split(' ').all(|expected| {
        rest.next().is_some_and(|at| match &at.token {
            Token::Word(word) => word == expected,
            Token::Mark(mark) => expected.chars().eq([*mark]),
            Token::Lifetime(_) | Token::Literal => false,
        })
    })
}

/// Every path in `tokens`, with the line of its last segment, as if written out: `use a::{b, c::d}`
/// holds `a::b` and `a::c::d`.
pub(crate) fn paths(tokens: &[At]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The paths before the braces we are in; empty for braces that are not part of a path.
    let mut prefixes: Vec<String> = Vec::new();
    let mut path = String::new();
    let is_separator = |at: usize| begins_with(tokens.get(at..).unwrap_or_default(), ": :");
    for (index, at) in tokens.iter().enumerate() {
        match &at.token {
            Token::Mark('{') => {
                let continues = index >= 2 && is_separator(index - 2);
                prefixes.push(if continues {
                    path.clone()
                } else {
                    String::new()
                });
            }
            Token::Mark('}') => {
                prefixes.pop();
            }
            Token::Word(word) => {
                let continues = index >= 3
                    && is_separator(index - 2)
                    && matches!(tokens[index - 3].token, Token::Word(_) | Token::Mark('>'));
                if !continues {
                    path = prefixes.last().cloned().unwrap_or_default();
                }
                if word != "self" || path.is_empty() {
                    if !path.is_empty() {
                        path.push_str("::");
                    }
                    path.push_str(word);
                }
                let next = tokens.get(index + 3).map(|at| &at.token);
                match next {
                    Some(Token::Word(_) | Token::Mark('{')) if is_separator(index + 1) => {}
                    Some(Token::Mark('*')) if is_separator(index + 1) => {
                        found.push((at.line, format!("{path}::*")));
                    }
                    _ => found.push((at.line, path.clone())),
                }
            }
            _ => {}
        }
    }
    found
}

fn flatten(stream: TokenStream, tokens: &mut Vec<At>, docs: &mut Vec<(usize, String)>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let token = match tree {
            TokenTree::Ident(word) => Token::Word(word.to_string()),
            TokenTree::Literal(_) => Token::Literal,
            TokenTree::Punct(mark) if mark.as_char() == '\'' => match trees.next() {
                Some(TokenTree::Ident(name)) => Token::Lifetime(name.to_string()),
                _ => unreachable!("the lexer lets an apostrophe stand only before a lifetime"),
            },
            TokenTree::Punct(mark) => Token::Mark(mark.as_char()),
            TokenTree::Group(group) => {
                if let Some(text) = doc_text(&group.stream()) {
                    docs.extend(text.lines().map(|text| (line, text.to_owned())));
                }
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => unreachable!("only macros make these"),
                };
                tokens.push(At {
                    line,
                    token: Token::Mark(open),
                });
                flatten(group.stream(), tokens, docs);
                tokens.push(At {
                    line: group.span_close().start().line,
                    token: Token::Mark(close),
                });
                continue;
            }
        };
        tokens.push(At { line, token });
    }
}

/// The text of `doc = "text"`, which is what a doc comment is inside its brackets.
fn doc_text(attribute: &TokenStream) -> Option<String> {
    let mut trees = attribute.clone().into_iter();
    match (trees.next()?, trees.next()?, trees.next()?, trees.next()) {
        (TokenTree::Ident(name), TokenTree::Punct(equals), TokenTree::Literal(text), None)
            if name == "doc" && equals.as_char() == '=' =>
        {
            let text = text.to_string();
            Some(text.trim_matches('"').replace("\\n", "\n"))
        }
        _ => None,
    }
}

/// The tokens that are not part of an item under `cfg(test)`, and the lines of those that are.
fn without_tests(tokens: &[At]) -> (Vec<At>, HashSet<usize>) {
    let mut product = Vec::new();
    let mut test_lines = HashSet::new();
    let mut index = 0;
    while index < tokens.len() {
        if is_test_attribute(&tokens[index..]) {
            let end = end_of_item(tokens, index);
            test_lines.extend(tokens[index].line..=tokens[end - 1].line);
            index = end;
        } else {
            product.push(tokens[index].clone());
            index += 1;
        }
    }
    (product, test_lines)
}

/// Whether an attribute begins here that keeps its item out of everything but tests.
fn is_test_attribute(tokens: &[At]) -> bool {
    if begins_with(tokens, "# [ cfg ( test ) ]") {
        return true;
    }
    if !begins_with(tokens, "# [ cfg ( all (") {
        return false;
    }
    let mut depth = 0;
    for at in &tokens[6..] {
        match at.token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') if depth == 0 => return false,
            Token::Mark(')') => depth -= 1,
            Token::Word(ref word) if depth == 0 && word == "test" => return true,
            _ => {}
        }
    }
    false
}

/// Where the item ends whose first attribute begins at `start`: behind its first semicolon or
/// braces that stand outside of any brackets.
fn end_of_item(tokens: &[At], start: usize) -> usize {
    let mut depth = 0;
    for (index, at) in tokens.iter().enumerate().skip(start) {
        match at.token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(mark @ (')' | ']' | '}')) => {
                depth -= 1;
                if depth == 0 && mark == '}' {
                    return index + 1;
                }
            }
            Token::Mark(';') if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}
