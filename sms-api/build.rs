//! Rebuilds the crate when a migration is added, or an answer of PostgreSQL to a query changes: the macros of sqlx
//! notice only changes to files that they know.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=.sqlx");
    println!("cargo:rerun-if-changed=sqlx.toml");
}
