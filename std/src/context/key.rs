//! Keys, and the values that can stand under them.

use alloc::sync::Arc;
use core::{fmt, marker::PhantomData, mem};

/// Names one typed entry of a [`Context`](super::Context).
///
/// A key must be a `static`: it is recognised by its address, so two keys with the same name are
/// different keys. (A `const` would have no address of its own; it is refused.)
///
/// ```
/// use bedplate::context::{self, Key};
/// static ATTEMPT: Key<u32> = Key::new("attempt");
/// context::with(&ATTEMPT, 2, || assert_eq!(context::get(&ATTEMPT), Some(2)));
/// ```
///
/// ```compile_fail
/// use bedplate::context::{self, Key};
/// const ATTEMPT: Key<u32> = Key::new("attempt");
/// context::with(&ATTEMPT, 2, || ());
/// ```
pub struct Key<T: ContextValue> {
    identity: KeyIdentity,
    value: PhantomData<fn(T) -> T>,
}

/// The part of a key that frames refer to; its address is the key's identity.
#[derive(Debug)]
pub(crate) struct KeyIdentity {
    pub(crate) name: &'static str,
    pub(crate) local: bool,
}

impl<T: ContextValue> Key<T> {
    /// A key that prints as `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            identity: KeyIdentity { name, local: false },
            value: PhantomData,
        }
    }

    /// The same key, kept out of what [`capture`](super::capture) hands to other threads.
    #[must_use]
    pub const fn local(self) -> Self {
        let name = self.identity.name;
        // A constant function cannot run a destructor; this one would do nothing.
        mem::forget(self);
        Self {
            identity: KeyIdentity { name, local: true },
            value: PhantomData,
        }
    }

    /// The name given to [`Key::new`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.identity.name
    }

    /// True if the key is kept out of captures.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.identity.local
    }

    pub(super) const fn identity(&'static self) -> &'static KeyIdentity {
        &self.identity
    }
}

/// Exists so that a `const` key cannot be borrowed for `'static`: the compiler gives constants of
/// a type without destructor a hidden static, at an address that is not promised to be the same
/// from one use to the next.
impl<T: ContextValue> Drop for Key<T> {
    fn drop(&mut self) {}
}

impl<T: ContextValue> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.identity.name)
            .field("local", &self.identity.local)
            .finish()
    }
}

/// A value as a context stores it.
///
/// It prints as it should stand in a log line: text that is empty or holds white space, control
/// characters, `=` or `"` is quoted and escaped, so that no value can imitate another entry or
/// start a line of its own.
///
/// ```
/// use bedplate::context::Value;
/// assert_eq!(Value::Text("plain").to_string(), "plain");
/// assert_eq!(Value::Text("two words\n").to_string(), r#""two words\n""#);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// A truth value.
    Bool(bool),
    /// A floating-point number.
    Float(f64),
    /// Text that lives as long as the program.
    Text(&'static str),
    /// Text that the context owns and shares.
    SharedText(Arc<str>),
}

impl Value {
    /// The same to a reader; unlike `==`, a float that is not a number is the same as itself.
    #[cfg(feature = "tracing")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(one), Self::Float(two)) => one.to_bits() == two.to_bits(),
            _ => self == other,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Text(text) => write_text(f, text),
            Self::SharedText(text) => write_text(f, text),
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let must_quote =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | '"' | '{' | '}');
    if text.is_empty() || text.contains(must_quote) {
        write!(f, "{text:?}")
    } else {
        f.write_str(text)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A type that can stand in a context: the integers up to 64 bits, `bool`, `f64`, `&'static str`,
/// `String` and `Arc<str>`.
///
/// The set is closed, so that no value's destructor or formatting can run user code in the middle
/// of a context switch.
pub trait ContextValue: sealed::Sealed + Sized {
    /// The stored form.
    fn into_value(self) -> Value;

    /// Back from the stored form; `None` if `value` is of another type.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! integers {
    ($variant:ident($wide:ty): $($integer:ty)*) => {$(
        impl sealed::Sealed for $integer {}

        impl ContextValue for $integer {
            fn into_value(self) -> Value {
                // Lossless: `usize` and `isize` have at most 64 bits on every target of this crate.
                Value::$variant(self as $wide)
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers!(Unsigned(u64): u8 u16 u32 u64 usize);
integers!(Signed(i64): i8 i16 i32 i64 isize);

macro_rules! plain {
    ($($type:ty => $variant:ident;)*) => {$(
        impl sealed::Sealed for $type {}

        impl ContextValue for $type {
            fn into_value(self) -> Value {
                Value::$variant(self)
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }
        }
    )*};
}

plain! {
    bool => Bool;
    f64 => Float;
    &'static str => Text;
    Arc<str> => SharedText;
}

impl sealed::Sealed for String {}

impl ContextValue for String {
    fn into_value(self) -> Value {
        Value::SharedText(self.into())
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::SharedText(text) => Some(text.as_ref().to_owned()),
            _ => None,
        }
    }
}
