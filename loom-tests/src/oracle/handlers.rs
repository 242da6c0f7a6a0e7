//! Names as lists of segments, and handlers as a list that is gone through from the front.

/// The segments of a name, or `None` if it is none: one to eight, of at most 128 bytes with their dots.
#[must_use]
pub fn segments(text: &str) -> Option<Vec<&str>> {
    let segments: Vec<_> = text.split('.').collect();
    let is_good = |segment: &&str| {
        !segment.is_empty()
            && segment
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
    };
    let good = segments.len() <= 8 && text.len() <= 128 && segments.iter().all(is_good);
    good.then_some(segments)
}

/// What somebody wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This event.
    Exactly(String),
    /// This event, and those that begin with its segments.
    Under(String),
    /// All.
    Everything,
}

impl Wanted {
    /// Whether the event `name` is wanted.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exactly(own) => own == name,
            Self::Under(prefix) => is_under(name, prefix),
            Self::Everything => true,
        }
    }
}

fn is_under(name: &str, prefix: &str) -> bool {
    let (name, prefix) = (segments(name), segments(prefix));
    name.zip(prefix)
        .is_some_and(|(name, prefix)| name.starts_with(&prefix))
}

/// One that is attached.
#[derive(Clone, Debug)]
pub struct Handler<A> {
    /// Which attachment this is: no two have the same number.
    pub number: u64,
    /// Under which id.
    pub id: String,
    /// To what.
    pub wanted: Vec<Wanted>,
    /// What it does.
    pub value: A,
}

/// Those that are attached, in their order.
#[derive(Clone, Debug)]
pub struct Handlers<A> {
    attached: Vec<Handler<A>>,
    next: u64,
}

impl<A: Clone> Handlers<A> {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            attached: Vec::new(),
            next: 0,
        }
    }

    /// Attaches one, unless there is one of this id. Whether it did.
    pub fn attach(&mut self, id: &str, wanted: Vec<Wanted>, value: A) -> bool {
        if self.attached.iter().any(|handler| handler.id == id) {
            return false;
        }
        self.attached.push(Handler {
            number: self.next,
            id: id.to_owned(),
            wanted,
            value,
        });
        self.next += 1;
        true
    }

    /// Detaches one.
    pub fn detach(&mut self, id: &str) -> Option<A> {
        let at = self.attached.iter().position(|handler| handler.id == id)?;
        Some(self.attached.remove(at).value)
    }

    /// Whether the attachment of this number is there.
    #[must_use]
    pub fn is_attached(&self, number: u64) -> bool {
        self.attached.iter().any(|handler| handler.number == number)
    }

    /// Those that want the event `name` now.
    #[must_use]
    pub fn matching(&self, name: &str) -> Vec<Handler<A>> {
        let wants = |handler: &&Handler<A>| handler.wanted.iter().any(|one| one.matches(name));
        self.attached.iter().filter(wants).cloned().collect()
    }

    /// Id and what is wanted, where that lies under `prefix`.
    #[must_use]
    pub fn list(&self, prefix: Option<&str>) -> Vec<(String, Wanted)> {
        let lies_under = |wanted: &Wanted| match (prefix, wanted) {
            (None, _) => true,
            (Some(prefix), Wanted::Exactly(name) | Wanted::Under(name)) => is_under(name, prefix),
            (Some(_), Wanted::Everything) => false,
        };
        self.attached
            .iter()
            .flat_map(|handler| handler.wanted.iter().map(|one| (&handler.id, one)))
            .filter(|(_, wanted)| lies_under(wanted))
            .map(|(id, wanted)| (id.clone(), wanted.clone()))
            .collect()
    }
}

impl<A: Clone> Default for Handlers<A> {
    fn default() -> Self {
        Self::new()
    }
}
