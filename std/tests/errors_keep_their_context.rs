//! Errors with a context, among those of `anyhow`, `eyre` and `thiserror`.

use bedplate::context::{self, Context, Enrich as _, InContext, Key, ResultExt as _};
use std::error::Error;
use std::io;

static REQUEST: Key<u64> = Key::new("request_id");

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("cannot parse {what}")]
    Parse {
        what: &'static str,
        #[source]
        source: InContext<std::num::ParseIntError>,
    },
    #[error(transparent)]
    Io(#[from] InContext<io::Error>),
}

fn parse() -> Result<u8, InContext<std::num::ParseIntError>> {
    context::with(&REQUEST, 7, || "many".parse::<u8>().in_context())
}

fn read() -> Result<(), InContext<io::Error>> {
    let inner = LoadError::Parse {
        what: "a number",
        source: parse().unwrap_err(),
    };
    context::with(&REQUEST, 8, || Err(io::Error::other(inner)).in_context())
}

fn nothing() -> InContext<io::Error> {
    InContext::of(
        io::Error::from(io::ErrorKind::UnexpectedEof),
        Context::empty(),
    )
}

/// All that a report would print, in order.
fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        all.push(error.to_string());
        next = error.source();
    }
    all
}

#[test]
fn it_prints_as_the_error_with_the_context_behind_it() {
    let error = parse().unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid digit found in string (request_id=7)"
    );
    assert_eq!(format!("{error:#}"), "invalid digit found in string");
    assert_eq!(
        format!("{error:?}"),
        "InContext { error: ParseIntError { kind: InvalidDigit }, context: Context {request_id=7} }"
    );
    // Without context, as if it were not there.
    assert_eq!(nothing().to_string(), "unexpected end of file");
}

#[test]
fn the_sources_are_those_of_the_error_and_nothing_is_told_twice() {
    let error = read().unwrap_err();
    assert_eq!(
        chain(&error),
        [
            "cannot parse a number (request_id=8)",
            "invalid digit found in string (request_id=7)"
        ]
    );
    let source = error.source().expect("that of the error");
    assert!(source.is::<InContext<std::num::ParseIntError>>());
    assert!(parse().unwrap_err().source().is_none());
}

#[test]
fn thiserror_takes_it_as_source_and_by_from() {
    let load = |what| parse().map_err(|source| LoadError::Parse { what, source });
    let error = load("a number").unwrap_err();
    assert_eq!(
        chain(&error),
        [
            "cannot parse a number",
            "invalid digit found in string (request_id=7)"
        ]
    );
    let io = || -> Result<(), LoadError> { Ok(read()?) };
    let error = io().unwrap_err();
    assert!(matches!(&error, LoadError::Io(inner) if inner.context().get(&REQUEST) == Some(8)));
    // And the other way: an error of theirs, in a context of ours.
    let error = context::with(&REQUEST, 9, || Err::<(), _>(error).in_context()).unwrap_err();
    assert!(
        error.to_string().ends_with("(request_id=8) (request_id=9)"),
        "{error}"
    );
}

#[test]
fn anyhow_takes_it_and_gives_it_back() {
    use anyhow::Context as _;
    let load = || -> anyhow::Result<u8> { parse().context("cannot load") };
    let error = load().unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "cannot load: invalid digit found in string (request_id=7)"
    );
    let inner = error
        .downcast_ref::<InContext<std::num::ParseIntError>>()
        .unwrap();
    assert_eq!(inner.context().get(&REQUEST), Some(7));
    // What is an `anyhow::Error` already is given the context as one of theirs.
    let error = context::with(&REQUEST, 9, || {
        Err::<(), _>(anyhow::anyhow!("failed")).context(context::current())
    });
    let error = error.unwrap_err();
    assert_eq!(
        error.downcast_ref::<Context>().unwrap().get(&REQUEST),
        Some(9)
    );
    assert_eq!(format!("{error:#}"), "request_id=9: failed");
}

#[test]
fn eyre_takes_it_and_gives_it_back() {
    use eyre::WrapErr as _;
    let load = || -> eyre::Result<u8> { Ok(parse()?) };
    let error = load().unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid digit found in string (request_id=7)"
    );
    assert!(
        error
            .downcast_ref::<InContext<std::num::ParseIntError>>()
            .is_some()
    );
    let error = context::with(&REQUEST, 9, || {
        Err::<(), _>(eyre::eyre!("failed")).wrap_err(context::current())
    });
    assert_eq!(format!("{:#}", error.unwrap_err()), "request_id=9: failed");
}

#[test]
fn boxes_of_errors_pass_through() {
    let load = || -> Result<u8, Box<dyn Error + Send + Sync>> { Ok(parse()?) };
    let boxed = load().unwrap_err();
    let again = context::with(&REQUEST, 9, || Err::<u8, _>(boxed).in_context())
        .enrich()
        .unwrap_err();
    assert!(
        again
            .into_error()
            .downcast::<InContext<std::num::ParseIntError>>()
            .is_ok()
    );
    let mapped = parse().unwrap_err().map(|error| error.to_string());
    assert_eq!(
        (mapped.error().as_str(), mapped.context().get(&REQUEST)),
        ("invalid digit found in string", Some(7))
    );
}
