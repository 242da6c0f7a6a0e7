//! The context against Logger's metadata, and a span against one that is sent to a GenServer, in rounds that take turns with a
//! running virtual machine; see `benches/beam/context.exs`.

use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::machine::Machine;
use crate::pinned::{self, Gate, Sample};
use std::cell::RefCell;
use std::io;

/// Operations of a sample of the virtual machine.
const OPERATIONS: usize = 100_000;

const OURS: &str = "bedplate";

/// A case: what it is called here and by the script, and who the peer is.
pub struct Beam {
    pub group: &'static str,
    pub case: &'static str,
    pub called: &'static str,
    pub peer: &'static str,
    /// Operations of a sample of ours, and what times them once.
    pub n: usize,
    pub ours: fn(&Gate) -> Sample,
}

/// Measures these, if there is an Elixir to measure them with.
pub fn run(cases: &[Beam], settings: &Settings, table: &mut Table) -> io::Result<()> {
    let wanted: Vec<&Beam> = cases.iter().filter(|it| settings.wants(it.case)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(machine) = Machine::start("", "context.exs", OPERATIONS)? else {
        eprintln!("no elixir in PATH: the comparison with it is left out");
        return Ok(());
    };
    eprintln!("{}", machine.versions());
    let machine = RefCell::new(machine);
    for beam in wanted {
        let mut contenders = vec![
            Contender {
                name: OURS.into(),
                run: Box::new(move || pinned::mean(1, beam.n, |_, gate| (beam.ours)(gate))),
            },
            Contender {
                name: beam.peer.into(),
                run: Box::new(|| machine.borrow_mut().sample(beam.called)),
            },
        ];
        let measured = interleave(settings.pick(5, 15), &mut contenders)?;
        for name in [OURS, beam.peer] {
            let (median, min, ratio) = measured.figures(name, beam.peer);
            table.add(Row {
                group: beam.group,
                case: beam.case.into(),
                threads: 1,
                n: beam.n as u64,
                contender: name.into(),
                median,
                min,
                ratio: Some((ratio, beam.peer.into())),
                best: None,
                unit: None,
            });
        }
    }
    Ok(())
}
