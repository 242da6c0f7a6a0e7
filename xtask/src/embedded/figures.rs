//! Figures of operations, as the proof `costs` prints them: what, then average, least and most instructions,
//! and bytes of stack, between bars.

use std::fmt;

/// What was measured, in the order in which it was first seen, with a column for each machine.
#[derive(Default)]
pub(super) struct Figures {
    machines: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    /// By machine: average, most, and stack.
    cells: Vec<(usize, [u64; 3])>,
}

impl Figures {
    /// Takes what there is in a proof's output.
    pub(super) fn read(&mut self, machine: &'static str, output: &str) {
        for line in output.lines() {
            if let Some((what, numbers)) = line.strip_prefix("figure: ").and_then(figure) {
                let column = position(&mut self.machines, |known| *known == machine, || machine);
                let row = position(
                    &mut self.rows,
                    |row| row.what == what,
                    || Row {
                        what: what.to_owned(),
                        cells: Vec::new(),
                    },
                );
                self.rows[row].cells.push((column, numbers));
            }
        }
    }
}

fn figure(line: &str) -> Option<(&str, [u64; 3])> {
    let mut columns = line.split(" | ");
    let what = columns.next()?;
    let numbers: Vec<u64> = columns
        .map_while(|number| number.trim().parse().ok())
        .collect();
    match numbers[..] {
        [average, _least, most, stack] => Some((what, [average, most, stack])),
        _ => None,
    }
}

/// Where the first is that fits; added if there is none.
fn position<T>(list: &mut Vec<T>, fits: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    list.iter().position(fits).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    })
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| operation | {} |", self.machines.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(self.machines.len()))?;
        for row in &self.rows {
            write!(f, "| {} |", row.what)?;
            for column in 0..self.machines.len() {
                match row.cells.iter().find(|(at, _)| *at == column) {
                    Some((_, [average, most, stack])) if average == most => {
                        write!(f, " {average}, {stack} B |")?;
                    }
                    Some((_, [average, most, stack])) => {
                        write!(f, " {average} to {most}, {stack} B |")?;
                    }
                    None => write!(f, " – |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_a_table() {
        let mut figures = Figures::default();
        figures.read(
            "A",
            "figure: push | 40 | 40 | 40 | 8\nnothing | 1 | 1 | 1 | 1\n",
        );
        figures.read(
            "B",
            "figure: push | 41 | 40 | 45 | 16\nfigure: read | 1 | 2 | x | 4\n",
        );
        figures.read("B", "figure: drop | 7 | 7 | 7 | 0\n");
        assert_eq!(
            figures.to_string(),
            "| operation | A | B |\n|---|---|---|\n| push | 40, 8 B | 41 to 45, 16 B |\n\
             | drop | – | 7, 0 B |\n"
        );
    }
}
