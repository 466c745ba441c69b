//! How scattered inputs combine (CWL v1.2 Workflow Description, §4.1.5.1 "scatterMethod").

use std::sync::Arc;

use weir_api::limits::SCATTER_ELEMENTS_MAX;
use weir_cwl::Value;
use weir_cwl::document::{Scatter, ScatterMethod};

/// The elements of one scatter. Elements are numbered flat; the last input runs fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    method: ScatterMethod,
    /// Lengths of the scattered arrays, in the order of `scatter`.
    lengths: Vec<usize>,
}

impl Shape {
    /// The shape that these arrays make, or a message that says why they make none.
    pub fn new(scatter: &Scatter, arrays: &[&Value]) -> Result<Self, String> {
        let mut lengths = Vec::new();
        for (id, value) in scatter.inputs.iter().zip(arrays) {
            match value {
                Value::Array(elements) => lengths.push(elements.len()),
                other => return Err(format!("it scatters over `{id}`, which is no array but of type {}", other.type_name())),
            }
        }
        let shape = Self { method: scatter.method, lengths };
        if shape.method == ScatterMethod::DotProduct && shape.lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            let lengths = scatter.inputs.iter().zip(&shape.lengths);
            let lengths: Vec<String> = lengths.map(|(id, length)| format!("`{id}` has {length}")).collect();
            let lengths = lengths.join(", ");
            return Err(format!("scatterMethod dotproduct needs arrays of one length, but {lengths}"));
        }
        match shape.checked_count() {
            Some(count) if count <= SCATTER_ELEMENTS_MAX => Ok(shape),
            _ => Err(format!("its scatter has more than {SCATTER_ELEMENTS_MAX} elements")),
        }
    }

    fn checked_count(&self) -> Option<usize> {
        match self.method {
            ScatterMethod::DotProduct => Some(self.lengths.first().copied().unwrap_or(0)),
            _ => self.lengths.iter().try_fold(1_usize, |product, length| product.checked_mul(*length)),
        }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.checked_count().unwrap_or(0)
    }

    /// Which member of the scattered input number `input` goes to `element`.
    pub fn index(&self, element: usize, input: usize) -> usize {
        match self.method {
            ScatterMethod::DotProduct => element,
            _ => {
                let inner: usize = self.lengths[input + 1..].iter().product();
                element / inner % self.lengths[input]
            }
        }
    }

    /// Puts the elements' values of one output together: an array, nested for `nested_crossproduct`. Empty arrays keep
    /// their place: 2 by 0 gives `[[], []]`.
    pub fn gather(&self, values: Vec<Arc<Value>>) -> Value {
        let mut values = values.into_iter().map(Arc::unwrap_or_clone);
        match self.method {
            ScatterMethod::NestedCrossProduct => nest(&self.lengths, &mut values),
            _ => Value::Array(values.collect()),
        }
    }
}

fn nest(lengths: &[usize], values: &mut impl Iterator<Item = Value>) -> Value {
    match lengths {
        [] => values.next().unwrap_or_default(),
        [length, inner @ ..] => Value::Array((0..*length).map(|_| nest(inner, values)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use weir_cwl::value::Number;

    use super::*;

    fn array(length: i64) -> Value {
        Value::Array((0..length).map(|at| Value::Number(Number::Int(at))).collect())
    }

    fn shape(method: ScatterMethod, lengths: &[i64]) -> Result<Shape, String> {
        let inputs = (0..lengths.len()).map(|at| format!("i{at}")).collect();
        let arrays: Vec<Value> = lengths.iter().map(|length| array(*length)).collect();
        Shape::new(&Scatter { inputs, method }, &arrays.iter().collect::<Vec<_>>())
    }

    fn gathered(shape: &Shape) -> String {
        fn show(value: &Value) -> String {
            match value {
                Value::Array(values) => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(" ")),
                Value::String(text) => text.clone(),
                other => format!("{other:?}"),
            }
        }
        let name = |element| {
            let digits: Vec<String> =
                (0..shape.lengths.len()).map(|input| shape.index(element, input).to_string()).collect();
            Arc::new(Value::String(digits.concat()))
        };
        show(&shape.gather((0..shape.count()).map(name).collect()))
    }

    #[test]
    fn dotproduct_pairs_members_of_equal_arrays() {
        assert_eq!(gathered(&shape(ScatterMethod::DotProduct, &[3, 3]).unwrap()), "[00 11 22]");
    }

    #[test]
    fn dotproduct_of_unequal_arrays_names_them() {
        let message = shape(ScatterMethod::DotProduct, &[3, 2]).unwrap_err();
        assert_eq!(message, "scatterMethod dotproduct needs arrays of one length, but `i0` has 3, `i1` has 2");
    }

    #[test]
    fn crossproducts_run_the_last_input_fastest() {
        assert_eq!(gathered(&shape(ScatterMethod::FlatCrossProduct, &[2, 3]).unwrap()), "[00 01 02 10 11 12]");
        assert_eq!(gathered(&shape(ScatterMethod::NestedCrossProduct, &[2, 3]).unwrap()), "[[00 01 02] [10 11 12]]");
    }

    #[test]
    fn empty_arrays_keep_their_nesting() {
        assert_eq!(gathered(&shape(ScatterMethod::NestedCrossProduct, &[2, 0]).unwrap()), "[[] []]");
        assert_eq!(gathered(&shape(ScatterMethod::NestedCrossProduct, &[0, 2]).unwrap()), "[]");
        assert_eq!(gathered(&shape(ScatterMethod::FlatCrossProduct, &[2, 0]).unwrap()), "[]");
        assert_eq!(gathered(&shape(ScatterMethod::DotProduct, &[0, 0]).unwrap()), "[]");
    }

    #[test]
    fn too_many_elements_are_refused_before_they_are_made() {
        let message = shape(ScatterMethod::FlatCrossProduct, &[1000, 1000]).unwrap_err();
        assert_eq!(message, "its scatter has more than 100000 elements");
    }
}
