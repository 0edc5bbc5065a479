//! The plot beside the table: how cost grows, one small panel a question, drawn as SVG by hand. Every panel begins at
//! zero, so that what looks flat is flat; where numbers span decades the x axis is logarithmic, the y axis never is.

use std::fmt::Write as _;

/// A measured point of a curve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) panel: Panel,
    pub(crate) series: &'static str,
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// A question that a panel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panel {
    /// Bytes of a list by the share of cards in it.
    List,
    /// Time of a lookup by the cards in the list.
    Lookup,
    /// Time of a push by the share of pushes that take no longer.
    Push,
    /// Memory of a server by the connections it has.
    Memory,
    /// Time of a sync by the members that the server stores.
    Growth,
}

impl Panel {
    const ALL: [Self; 5] = [Self::List, Self::Lookup, Self::Push, Self::Memory, Self::Growth];

    fn labels(self) -> Labels {
        match self {
            Self::List => Labels {
                title: "Status list of 95 million cards",
                x: "cards listed, %",
                y: "MB",
                x_axis: Axis::Linear,
            },
            Self::Lookup => Labels {
                title: "One lookup in it, all sets asked",
                x: "cards listed, million",
                y: "µs",
                x_axis: Axis::Linear,
            },
            Self::Push => Labels {
                title: "A card on its way to one of 100 phones",
                x: "share of cards that take no longer, %",
                y: "ms",
                x_axis: Axis::Linear,
            },
            Self::Memory => Labels {
                title: "Memory of idle connections",
                x: "connections",
                y: "MB",
                x_axis: Axis::Linear,
            },
            Self::Growth => Labels {
                title: "A sync that brings one record",
                x: "members stored",
                y: "ms",
                x_axis: Axis::Logarithmic,
            },
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Labels {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    x_axis: Axis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Linear,
    Logarithmic,
}

/// The whole picture: the panels that have points, two in a row.
pub(crate) fn draw(points: &[Point]) -> String {
    let panels = Panel::ALL.into_iter().filter(|panel| points.iter().any(|point| point.panel == *panel));
    let panels: Vec<_> = panels.collect();
    let rows = panels.len().div_ceil(2);
    let (width, height) = (2.0 * CELL.0, rows as f64 * CELL.1);
    let mut svg = String::new();
    // Writing into a String does not fail; the same below.
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#333">
<title>How cost grows</title>
<rect width="{width}" height="{height}" fill="#fff"/>"##
    );
    for (at, panel) in panels.into_iter().enumerate() {
        let (x, y) = ((at % 2) as f64 * CELL.0, (at / 2) as f64 * CELL.1);
        let _ = writeln!(svg, r#"<g transform="translate({x},{y})">"#);
        let own: Vec<_> = points.iter().copied().filter(|point| point.panel == panel).collect();
        Frame::around(panel.labels(), &own).draw(&mut svg, &own);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// A panel's axes.
#[derive(Debug)]
struct Frame {
    labels: Labels,
    x: (f64, f64),
    y_max: f64,
    y_step: f64,
}

impl Frame {
    fn around(labels: Labels, points: &[Point]) -> Self {
        // Nothing but zeros still needs an axis to stand on.
        let most = |of: fn(&Point) -> f64| match points.iter().map(of).fold(0.0, f64::max) {
            0.0 => 1.0,
            most => most,
        };
        let (x_max, y_max) = (most(|point| point.x), most(|point| point.y));
        let x = match labels.x_axis {
            Axis::Linear => (0.0, x_max),
            Axis::Logarithmic => {
                let least = points.iter().map(|point| point.x).fold(f64::INFINITY, f64::min);
                // So does a single point.
                (least.min(x_max / 10.0), x_max)
            }
        };
        let y_step = nice_step(y_max);
        Self { labels, x, y_max: (y_max / y_step).ceil() * y_step, y_step }
    }

    fn draw(&self, svg: &mut String, points: &[Point]) {
        self.draw_axes(svg);
        let mut series: Vec<&str> = Vec::new();
        for point in points {
            if !series.contains(&point.series) {
                series.push(point.series);
            }
        }
        for (name, (at, look)) in series.into_iter().zip(LOOKS.iter().cycle().enumerate()) {
            let own = points.iter().filter(|point| point.series == name).map(|point| self.place(point));
            draw_series(svg, &own.collect::<Vec<_>>(), look);
            draw_legend(svg, at, name, look);
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (LEFT + PLOT.0, TOP + PLOT.1);
        let Labels { title, x, y, .. } = self.labels;
        let _ = writeln!(svg, r#"<text x="{LEFT}" y="26" font-size="15" font-weight="600">{title}</text>"#);
        let _ = writeln!(
            svg,
            r##"<text x="{}" y="{}" text-anchor="end" fill="#666">{y}</text>"##,
            LEFT - 8.0,
            TOP - 8.0
        );
        let (middle, below) = (LEFT + PLOT.0 / 2.0, bottom + 40.0);
        let _ =
            writeln!(svg, r##"<text x="{middle}" y="{below}" text-anchor="middle" fill="#666">{x}</text>"##);
        let mut tick = 0.0;
        while tick <= self.y_max * 1.0001 {
            let at = self.y_place(tick);
            let line = if tick == 0.0 { "#333" } else { "#e4e4e4" };
            let _ = writeln!(svg, r#"<path d="M{LEFT} {at:.1}H{right}" stroke="{line}"/>"#);
            let text = number(tick, self.y_step);
            let _ = writeln!(
                svg,
                r#"<text x="{}" y="{:.1}" text-anchor="end">{text}</text>"#,
                LEFT - 8.0,
                at + 4.5
            );
            tick += self.y_step;
        }
        for tick in self.x_ticks() {
            let at = self.x_place(tick);
            let _ = writeln!(svg, r##"<path d="M{at:.1} {bottom}v5" stroke="#333"/>"##);
            let step = if self.labels.x_axis == Axis::Linear { nice_step(self.x.1) } else { tick };
            let text = number(tick, step);
            let _ = writeln!(
                svg,
                r#"<text x="{at:.1}" y="{}" text-anchor="middle">{text}</text>"#,
                bottom + 20.0
            );
        }
    }

    fn x_ticks(&self) -> Vec<f64> {
        let (from, to) = self.x;
        match self.labels.x_axis {
            Axis::Linear => {
                let step = nice_step(to);
                (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= to * 1.0001).collect()
            }
            Axis::Logarithmic => {
                let first = from.log10().ceil() as i32;
                let last = to.log10().floor() as i32;
                (first..=last).map(|power| 10_f64.powi(power)).collect()
            }
        }
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.x_place(point.x), self.y_place(point.y))
    }

    fn x_place(&self, x: f64) -> f64 {
        let (from, to) = self.x;
        let share = match self.labels.x_axis {
            Axis::Linear => (x - from) / (to - from),
            Axis::Logarithmic => (x / from).ln() / (to / from).ln(),
        };
        LEFT + share * PLOT.0
    }

    fn y_place(&self, y: f64) -> f64 {
        TOP + PLOT.1 * (1.0 - y / self.y_max)
    }
}

/// How a series is drawn: what is ours first, its limit after.
#[derive(Debug)]
struct Look {
    color: &'static str,
    dashes: &'static str,
}

fn draw_series(svg: &mut String, places: &[(f64, f64)], look: &Look) {
    let Look { color, dashes } = look;
    let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _ = writeln!(
        svg,
        r#"<path d="M{}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>"#,
        path.join("L")
    );
    for (x, y) in places {
        let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{color}"/>"#);
    }
}

fn draw_legend(svg: &mut String, at: usize, name: &str, look: &Look) {
    let Look { color, dashes } = look;
    let (x, y) = (LEFT + 12.0, TOP + 12.0 + at as f64 * 20.0);
    let _ = writeln!(
        svg,
        r#"<path d="M{x} {y}h24" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/><text x="{}" y="{}">{name}</text>"#,
        x + 32.0,
        y + 4.5
    );
}

/// 1, 2 or 5 times a power of ten, so that `max` takes three to seven of them.
fn nice_step(max: f64) -> f64 {
    let power = 10_f64.powf((max / 3.0).log10().floor());
    let fits = [5.0, 2.0, 1.0].into_iter().map(|factor| factor * power).find(|step| max / step >= 3.0);
    fits.unwrap_or(power)
}

/// With as many digits as steps of this size need, and words for many zeros.
fn number(value: f64, step: f64) -> String {
    match value {
        whole if whole >= 1e6 => format!("{} million", whole / 1e6),
        whole if whole >= 1e4 => format!("{},000", whole / 1e3),
        other if step >= 1.0 => format!("{other:.0}"),
        other => format!("{other:.*}", (-step.log10()).ceil() as usize),
    }
}

const LOOKS: [Look; 4] = [
    Look { color: "#0b62a4", dashes: "none" },
    Look { color: "#c2571a", dashes: "6 4" },
    Look { color: "#3d8a3f", dashes: "none" },
    Look { color: "#7a5195", dashes: "2 3" },
];
/// A panel, and the plot in it.
const CELL: (f64, f64) = (480.0, 320.0);
const PLOT: (f64, f64) = (390.0, 200.0);
const LEFT: f64 = 62.0;
const TOP: f64 = 62.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn point(panel: Panel, series: &'static str, x: f64, y: f64) -> Point {
        Point { panel, series, x, y }
    }

    #[test]
    fn steps_are_round_and_neither_few_nor_many() {
        for max in [0.004, 0.9, 1.0, 2.03, 7.0, 30.0, 99.0, 4_321.0] {
            let step = nice_step(max);
            assert!((3.0..=7.5).contains(&(max / step)), "{max}: {step}");
        }
        assert_eq!((nice_step(2.03), nice_step(30.0), nice_step(7.0)), (0.5, 10.0, 2.0));
    }

    #[test]
    fn numbers_are_short() {
        let all =
            [(0.5, 0.5), (20.0, 10.0), (10_000.0, 1e4), (1e6, 1e6), (0.0, 0.002)].map(|(n, s)| number(n, s));
        assert_eq!(all, ["0.5", "20", "10,000", "1 million", "0.000"]);
    }

    /// Every element closes, and every number is one.
    #[test]
    fn the_picture_is_well_formed() {
        let points = [
            point(Panel::List, "list", 0.1, 0.2),
            point(Panel::List, "list", 2.0, 2.03),
            point(Panel::List, "floor", 2.0, 2.02),
            point(Panel::Lookup, "lookup", 0.095, 0.0),
            point(Panel::Growth, "p99", 10_000.0, 3.0),
            point(Panel::Growth, "p99", 1_000_000.0, 4.0),
        ];
        for points in [&points[..], &points[..1], &[]] {
            let svg = draw(points);
            let (mut open, mut rest) = (Vec::new(), svg.as_str());
            while let Some((_, after)) = rest.split_once('<') {
                let (tag, after) = after.split_once('>').expect("a tag ends");
                rest = after;
                let name = tag.trim_matches('/').split([' ', '\n']).next().unwrap();
                match (tag.starts_with('/'), tag.ends_with('/')) {
                    (true, _) => assert_eq!(open.pop(), Some(name)),
                    (false, true) => {}
                    (false, false) => open.push(name),
                }
                assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            }
            assert!(open.is_empty(), "{open:?}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
