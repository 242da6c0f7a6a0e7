//! The spans that are open, as a list.

/// Spans in numbered places, at most so many at a time.
#[derive(Clone, Debug)]
pub struct Spans<T> {
    places: Vec<Option<T>>,
}

impl<T: Clone> Spans<T> {
    /// None is open, and there are so many places.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            places: vec![None; places],
        }
    }

    /// A span is open from now on, in the first place that is free; `None` if none is.
    pub fn open(&mut self, span: T) -> Option<usize> {
        let free = self.places.iter().position(Option::is_none)?;
        self.places[free] = Some(span);
        Some(free)
    }

    /// Whatever was open in this place is so no more.
    pub fn close(&mut self, place: usize) {
        if let Some(place) = self.places.get_mut(place) {
            *place = None;
        }
    }

    /// Nothing is open any more.
    pub fn close_all(&mut self) {
        self.places.fill(None);
    }

    /// What is open, and where.
    #[must_use]
    pub fn all(&self) -> Vec<(usize, T)> {
        let places = self.places.iter().cloned().enumerate();
        places
            .filter_map(|(place, span)| Some((place, span?)))
            .collect()
    }
}
