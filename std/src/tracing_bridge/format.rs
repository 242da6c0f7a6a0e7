//! The context in front of what a formatter writes.

use core::fmt;

use tracing_core::{Event, subscriber::Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext,
        format::{FormatEvent, FormatFields, Writer},
    },
    registry::LookupSpan,
};

use crate::context;

/// Writes the context in front of each line of a text formatter. With the feature `fmt`.
///
/// The cheaper way, for programs that have one formatter and write text: nothing is opened, so a line costs a tenth
/// more than without context, also in a scope of its own. It takes the place of [`layer`](super::layer()); with both, the
/// context is on the line twice. Around a JSON formatter it would spoil the JSON.
///
/// ```
/// use bedplate::context::{self, Key};
/// use tracing_subscriber::{fmt::{self, format}, prelude::*};
///
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
///
/// tracing_subscriber::registry()
///     .with(fmt::layer().event_format(bedplate::tracing_bridge::format(format())))
///     .init();
///
/// context::with(&REQUEST_ID, 123, || tracing::info!("registered"));
/// // ctx{request_id=123}: 2026-11-29T22:04:00Z  INFO registered
/// ```
pub const fn format<F>(formatter: F) -> InContext<F> {
    InContext { formatter }
}

/// A formatter that writes the context first; made by [`format`](self::format()).
#[derive(Clone, Debug)]
pub struct InContext<F> {
    formatter: F,
}

impl<S, N, F> FormatEvent<S, N> for InContext<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !context::is_empty() {
            write!(writer, "ctx{{{}}}: ", context::Here)?;
        }
        self.formatter.format_event(cx, writer, event)
    }
}
