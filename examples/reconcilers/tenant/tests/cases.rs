//! Each file in `tests/cases` is a world; the snapshot beside it is what the reconciler plans in it, and what it read.

sdk::test_cases!(tenant::TenantReconciler);
