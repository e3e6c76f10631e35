//! The programs that the cluster, the images and the tests need, installed or built when missing.

pub(crate) mod debian;
pub(crate) mod programs;
