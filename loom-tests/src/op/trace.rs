//! The W3C's headers: any text against the oracle, and whatever is written is read again.

use crate::oracle::trace as oracle;
use bedplate_core::context::{Baggage, BaggageWriter, TraceParent, TraceState};

/// The first byte says what the rest is a header of.
///
/// # Panics
/// If a header is read differently from the oracle, or is not read again as it was written.
pub fn run(bytes: &[u8]) {
    let Some((which, header)) = bytes.split_first() else {
        return;
    };
    match which % 4 {
        0 => parent(header),
        1 => parent_with_one_change(header),
        2 => with_text(header, state),
        _ => with_text(header, baggage),
    }
}

fn with_text(header: &[u8], check: fn(&str)) {
    check(&String::from_utf8_lossy(header));
}

fn parent(header: &[u8]) {
    let read = TraceParent::parse(header).ok();
    let expected = str::from_utf8(header).ok().and_then(oracle::parent);
    let as_numbers = |it: TraceParent| {
        (
            it.trace_id.0.get(),
            it.parent_id.0.get(),
            it.flags.to_byte(),
        )
    };
    // Of later versions, what follows is not for us: it may be no text at all.
    if expected.is_some() || str::from_utf8(header).is_ok() {
        assert_eq!(read.map(as_numbers), expected);
    }
    if let Some(read) = read {
        let written = read.to_bytes();
        assert_eq!(TraceParent::parse(&written), Ok(read));
        assert_eq!(read.to_string().as_bytes(), written);
    }
}

/// Random bytes are hardly ever a header. This is one but for a byte, or is one.
fn parent_with_one_change(bytes: &[u8]) {
    let mut header = *b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    if let [at, to, ..] = bytes {
        header[usize::from(*at) % header.len()] = *to;
    }
    parent(&header);
    if let [_, _, more @ ..] = bytes {
        parent(&[&header, more].concat());
    }
}

fn state(header: &str) {
    let expected = oracle::state(header);
    let Ok(state) = TraceState::parse(header) else {
        assert_eq!(expected, None);
        return;
    };
    let read: Vec<_> = state
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(Some(&read), expected.as_ref());

    let written = state.to_string();
    assert_eq!(written.len(), state.length());
    assert_eq!(TraceState::parse(&written).as_ref(), Ok(&state));

    let mut changed = state.clone();
    let gone = changed.put("bedplate", "1").expect("both are allowed");
    assert_eq!(changed.iter().next(), Some(("bedplate", "1")));
    let mut others: Vec<_> = state.iter().filter(|(key, _)| *key != "bedplate").collect();
    assert_eq!(
        gone,
        if others.len() == 32 {
            others.pop()
        } else {
            None
        }
    );
    assert!(changed.iter().skip(1).eq(others));

    let bytes = changed.length() / 2;
    let before = changed.iter().len();
    let went = changed.shorten(bytes);
    assert!(changed.length() <= bytes);
    assert_eq!(changed.iter().len() + went, before);
}

fn baggage(header: &str) {
    let read = Baggage::parse(header).ok().map(|baggage| {
        let members = baggage.iter();
        let read = members.map(|member| (member.key.to_owned(), member.value().to_string()));
        read.collect::<Vec<_>>()
    });
    assert_eq!(read, oracle::baggage(header));
    let Some(read) = read else {
        // Whatever it is, it can be a value.
        let mut written = String::new();
        if BaggageWriter::new(&mut written)
            .member("any", header)
            .is_ok()
        {
            let baggage = Baggage::parse(&written).expect("it was written by us");
            assert_eq!(
                baggage.get("any").expect("it is there").value().to_string(),
                header
            );
        }
        return;
    };
    let mut written = String::new();
    let mut writer = BaggageWriter::new(&mut written);
    // Written with more percent signs than it came with, it may be too long.
    if read
        .iter()
        .all(|(key, value)| writer.member(key, value).is_ok())
    {
        let again = Baggage::parse(&written).expect("it was written by us");
        let again = again
            .iter()
            .map(|member| (member.key.to_owned(), member.value().to_string()));
        assert_eq!(again.collect::<Vec<_>>(), read);
    }
}
