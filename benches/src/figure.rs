//! What is promised of a figure, and what was found. A promise stands beside the code that measures it: its goal, how it
//! is kept honest, and, once a missed goal is understood, why.

use serde::Serialize;

/// A figure of the table in docs/benchmarks.md.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) id: &'static str,
    /// Of the value. "ratio" when the value is measured ÷ limit.
    pub(crate) unit: &'static str,
    /// Of the limit; empty when there is none.
    pub(crate) limit_unit: &'static str,
    pub(crate) goal: Goal,
    /// How it is measured, and what the limit is.
    pub(crate) how: &'static str,
    /// Why the goal is missed, as measured; empty while it holds, or is not understood.
    pub(crate) cause: &'static str,
}

/// What a value is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(goal) => value <= goal,
            Self::AtLeast(goal) => value >= goal,
            Self::Exactly(goal) => value == goal,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(goal) => format!("≤ {goal}"),
            Self::AtLeast(goal) => format!("≥ {goal}"),
            Self::Exactly(goal) => format!("= {goal}"),
        }
    }
}

/// A measured figure. `value` is what the goal is stated in.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) promise: &'static Promise,
    pub(crate) value: f64,
    /// What physics or cryptography allows, measured or computed in the same run; in the promise's unit of limits.
    pub(crate) limit: Option<f64>,
    /// Measured ÷ limit.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: String,
    pub(crate) holds: bool,
}

impl Figure {
    /// A value that stands alone.
    pub(crate) fn value(promise: &'static Promise, value: f64) -> Self {
        let (goal, holds) = (promise.goal.text(), promise.goal.holds(value));
        Self { promise, value, limit: None, ratio: None, goal, holds }
    }

    /// A value that is the ratio of what was measured to its limit.
    pub(crate) fn ratio(promise: &'static Promise, ratio: f64, limit: f64) -> Self {
        Self { limit: Some(limit), ratio: Some(ratio), ..Self::value(promise, ratio) }
    }

    /// Something else that the goal asks for, in a word.
    pub(crate) fn and(mut self, what: &str, holds: bool) -> Self {
        self.goal = format!("{}, {what}", self.goal);
        self.holds &= holds;
        self
    }

    /// One JSON object in one line.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let Promise { id, unit, .. } = self.promise;
        let Self { value, limit, ratio, goal, holds, .. } = self;
        serde_json::to_string(&Line {
            id,
            value: *value,
            unit,
            limit: *limit,
            ratio: *ratio,
            goal,
            holds: *holds,
        })
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    value: f64,
    unit: &'a str,
    limit: Option<f64>,
    ratio: Option<f64>,
    goal: &'a str,
    holds: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Promise = promise("x.bytes", "bytes", Goal::AtMost(10.0));
    const RATE: Promise = promise("x.ratio", "ratio", Goal::AtLeast(0.8));
    const ONCE: Promise = promise("x.times", "times", Goal::Exactly(1.0));

    const fn promise(id: &'static str, unit: &'static str, goal: Goal) -> Promise {
        Promise { id, unit, limit_unit: "", goal, how: "", cause: "" }
    }

    fn check(figure: &Figure, expected: &str) {
        assert_eq!(figure.json().unwrap(), expected);
    }

    #[test]
    fn a_line_has_seven_fields_and_a_goal_is_judged_by_the_value() {
        check(
            &Figure::value(&BYTES, 10.0),
            r#"{"id":"x.bytes","value":10.0,"unit":"bytes","limit":null,"ratio":null,"goal":"≤ 10","holds":true}"#,
        );
        check(
            &Figure::ratio(&RATE, 0.75, 2000.0),
            r#"{"id":"x.ratio","value":0.75,"unit":"ratio","limit":2000.0,"ratio":0.75,"goal":"≥ 0.8","holds":false}"#,
        );
        check(
            &Figure::value(&ONCE, 2.0),
            r#"{"id":"x.times","value":2.0,"unit":"times","limit":null,"ratio":null,"goal":"= 1","holds":false}"#,
        );
    }

    #[test]
    fn what_is_no_number_holds_nothing() {
        for promise in [&BYTES, &RATE, &ONCE] {
            assert!(!Figure::value(promise, f64::NAN).holds);
        }
    }

    #[test]
    fn a_second_condition_counts_too() {
        let flat = Figure::value(&BYTES, 1.0).and("flat", true);
        assert_eq!((flat.goal.as_str(), flat.holds), ("≤ 10, flat", true));
        assert!(!Figure::value(&BYTES, 1.0).and("flat", false).holds);
    }
}
