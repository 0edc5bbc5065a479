//! One figure: what was measured, what it is held against, and whether it holds.

use serde::Serialize;

/// A measured figure. `value` is what the goal is stated in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) id: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What physics or cryptography allows, measured or computed in the same run; in the unit of what `value` compares.
    pub(crate) limit: Option<f64>,
    /// Measured ÷ limit.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: String,
    pub(crate) holds: bool,
}

impl Figure {
    /// A value with an upper bound.
    pub(crate) fn at_most(id: &'static str, value: f64, unit: &'static str, goal: f64) -> Self {
        Self { id, value, unit, limit: None, ratio: None, goal: format!("≤ {goal}"), holds: value <= goal }
    }

    /// A ratio of something measured to its limit, with an upper bound.
    pub(crate) fn ratio(id: &'static str, measured: f64, limit: f64, goal: f64) -> Self {
        let ratio = measured / limit;
        Self {
            id,
            value: ratio,
            unit: "ratio",
            limit: Some(limit),
            ratio: Some(ratio),
            goal: format!("≤ {goal}"),
            holds: ratio <= goal,
        }
    }
}

/// The median of what was measured; zero of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
