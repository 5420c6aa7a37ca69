//! The roll as a drawing: a column for each wave, from left to right; what stays as it is and what is left out stand
//! below.

use serde::Serialize;
use windlass_core::preview::{Roll, counted};

const WIDE: usize = 150;
const HIGH: usize = 44;
const ACROSS: usize = 40;
const DOWN: usize = 12;
/// More would not be a small drawing.
const MOST_BOXES: usize = 60;

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Drawing {
    boxes: Vec<Box>,
    arrows: Vec<[usize; 4]>,
    width: usize,
    height: usize,
    /// The same in words, for those who do not see it.
    drawn: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Box {
    class: &'static str,
    x: usize,
    y: usize,
    name: String,
    words: String,
}

impl Drawing {
    pub(super) fn of(roll: &Roll) -> Self {
        let mut drawing = Self::default();
        let waves = roll.turns.iter().map(|turn| turn.wave).max().unwrap_or(0);
        let mut rows = 0;
        for wave in 1..=waves {
            let turns = roll.turns.iter().filter(|turn| turn.wave == wave);
            let mut row = 0;
            for turn in turns {
                let words = format!("{wave}. {}", counted(turn.files, "file"));
                drawing.put("changes", wave - 1, row, turn.node.as_str(), words);
                row += 1;
            }
            rows = rows.max(row);
            if wave > 1 {
                let x = (wave - 1) * (WIDE + ACROSS);
                let y = HIGH / 2;
                drawing.arrows.push([x - ACROSS, y, x, y]);
            }
        }
        let unchanged = roll
            .unchanged
            .iter()
            .map(|node| ("same", node, "nothing to do"));
        let skipped = roll
            .skipped
            .iter()
            .map(|one| ("skipped", &one.node, "skipped"));
        for (index, (class, node, words)) in unchanged.chain(skipped).enumerate() {
            let across = waves.max(3);
            let row = rows + index / across;
            drawing.put(class, index % across, row, node.as_str(), words.to_owned());
        }
        let order: Vec<&str> = roll.turns.iter().map(|turn| turn.node.as_str()).collect();
        drawing.drawn = format!("the roll takes {}", order.join(", then "));
        drawing
    }

    fn put(&mut self, class: &'static str, column: usize, row: usize, name: &str, words: String) {
        if self.boxes.len() >= MOST_BOXES {
            return;
        }
        let (x, y) = (column * (WIDE + ACROSS) + 2, row * (HIGH + DOWN) + 2);
        self.width = self.width.max(x + WIDE + 2);
        self.height = self.height.max(y + HIGH + 2);
        // Longer names would run out of their box.
        let name = name.chars().take(18).collect();
        self.boxes.push(Box {
            class,
            x,
            y,
            name,
            words,
        });
    }
}
