// SPDX-License-Identifier: Apache-2.0
// A program at a known place of a known call chain; the test builds it, where Rust is installed.

// std::hint::black_box is younger than Debian 12's compiler.
#[inline(always)]
fn black_box(x: u64) -> u64 {
    unsafe { std::ptr::read_volatile(&x) }
}

#[inline(never)]
fn leaf(mut x: u64) -> u64 {
    for _ in 0..1000 {
        x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407));
    }
    x
}

#[inline(never)]
fn middle(x: u64) -> u64 {
    black_box(leaf(x)).wrapping_add(x)
}

#[inline(never)]
fn outer() {
    let mut x = 1;
    loop {
        x = black_box(middle(x));
    }
}

fn main() {
    println!("chain chain::leaf;chain::middle;chain::outer;chain::main;*;main");
    println!("chain chain::middle;chain::outer;chain::main;*;main");
    println!("chain chain::outer;chain::main;*;main");
    println!("pid {}\nready", std::process::id());
    outer();
}
