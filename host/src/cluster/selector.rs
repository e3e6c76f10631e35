//! Label selectors, with the API server's meaning.

use crate::contract::{Operator, Requirement};

/// Whether labels meet all requirements.
pub(super) fn matches(requirements: &[Requirement], labels: &[(String, String)]) -> bool {
    requirements.iter().all(|requirement| {
        let value = labels.iter().find(|(key, _)| *key == requirement.key).map(|(_, value)| value);
        match requirement.operator {
            Operator::In => value.is_some_and(|v| requirement.values.contains(v)),
            Operator::NotIn => value.is_none_or(|v| !requirement.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Operator::In, "role", &["primary"], true)]
    #[case(Operator::In, "role", &["standby"], false)]
    #[case(Operator::In, "absent", &["primary"], false)]
    #[case(Operator::NotIn, "role", &["primary"], false)]
    #[case(Operator::NotIn, "absent", &["primary"], true)]
    #[case(Operator::Exists, "role", &[], true)]
    #[case(Operator::Exists, "absent", &[], false)]
    #[case(Operator::DoesNotExist, "absent", &[], true)]
    #[case(Operator::DoesNotExist, "role", &[], false)]
    fn one_requirement(#[case] operator: Operator, #[case] key: &str, #[case] values: &[&str], #[case] expected: bool) {
        let requirement = Requirement { key: key.into(), operator, values: values.iter().map(ToString::to_string).collect() };
        assert_eq!(matches(&[requirement], &[("role".into(), "primary".into())]), expected);
    }

    #[test]
    fn all_must_hold() {
        let requirement = |operator| Requirement { key: "role".into(), operator, values: vec![] };
        assert!(!matches(&[requirement(Operator::Exists), requirement(Operator::DoesNotExist)], &[("role".into(), "x".into())]));
        assert!(matches(&[], &[]));
    }
}
