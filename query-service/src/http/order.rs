//! The fields of an answer in the order of the question, as the specification of GraphQL has it
//! ("Serialized Map Ordering"). The library leaves them in the order in which they came to be known,
//! which differs from one time to the next.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Value};

/// What was asked of an object: the names in the answer, each with what was asked of it in turn.
#[derive(Default)]
pub(super) struct Asked(Vec<(Name, Asked)>);

impl Asked {
    /// What a selection asks. The document must have been validated: its fragments do not go in
    /// circles, and the limits on queries bound what they expand to.
    pub(super) fn of(set: &SelectionSet, document: &ExecutableDocument) -> Self {
        let mut asked = Self::default();
        asked.add(set, document);
        asked
    }

    fn add(&mut self, set: &SelectionSet, document: &ExecutableDocument) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => self
                    .named(&field.node.response_key().node)
                    .add(&field.node.selection_set.node, document),
                Selection::InlineFragment(fragment) => {
                    self.add(&fragment.node.selection_set.node, document);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node)
                    {
                        self.add(&fragment.node.selection_set.node, document);
                    }
                }
            }
        }
    }

    fn named(&mut self, name: &Name) -> &mut Self {
        let place = self.place(name).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push((name.clone(), Self::default()));
        }
        &mut self.0[place].1
    }

    fn place(&self, name: &Name) -> Option<usize> {
        self.0.iter().position(|(asked, _)| asked == name)
    }

    /// Puts the fields of an answer in this order. Objects of which no fields were asked, the JSON
    /// of a scalar, stay as they are.
    pub(super) fn sort(&self, answer: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match answer {
            Value::List(answers) => answers.iter_mut().for_each(|answer| self.sort(answer)),
            Value::Object(fields) => {
                fields.sort_by(|a, _, b, _| self.place(a).cmp(&self.place(b)));
                for (name, value) in fields {
                    if let Some(place) = self.place(name) {
                        self.0[place].1.sort(value);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_put_in_the_order_of_the_question() {
        let document = parse_query(
            "{ z { b ...both x: a } a ... on Query { y { k } z { c } } list { n m } scalar }
             fragment both on Z { d b }",
        )
        .unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let asked = Asked::of(&operation.node.selection_set.node, &document);
        let mut answer = Value::from_json(json!({
            "a": 1,
            "list": [{ "m": 1, "n": 2 }, null, { "m": 3, "n": 4 }],
            "scalar": { "b": 1, "a": [{ "d": 1, "c": 2 }] },
            "y": { "k": 1 },
            "z": { "x": 1, "b": 2, "c": 3, "d": 4 },
        }))
        .unwrap();
        let scalar = answer_text(&answer, "scalar");
        asked.sort(&mut answer);
        let sorted = serde_json::to_string(&answer).unwrap();
        let expected = format!(
            r#"{{"z":{{"b":2,"d":4,"x":1,"c":3}},"a":1,"y":{{"k":1}},"list":[{{"n":2,"m":1}},null,{{"n":4,"m":3}}],"scalar":{scalar}}}"#
        );
        assert_eq!(sorted, expected);
    }

    fn answer_text(answer: &Value, field: &str) -> String {
        let Value::Object(fields) = answer else {
            panic!("no object");
        };
        serde_json::to_string(&fields[field]).unwrap()
    }
}
