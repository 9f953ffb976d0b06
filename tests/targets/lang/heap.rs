// SPDX-License-Identifier: Apache-2.0
// Allocates as a Rust program does, and says what that was; the test builds it, where Rust is installed.
use std::io::{BufRead, Write};

#[no_mangle]
#[inline(never)]
pub fn keep_vec(kept: &mut Vec<Vec<u8>>, i: usize) { kept.push(vec![i as u8; 1000 + i]); }
#[no_mangle]
#[inline(never)]
pub fn zeroed(kept: &mut Vec<Vec<u8>>, n: usize) { kept.push(vec![0; n]); }
#[no_mangle]
#[inline(never)]
pub fn grow(kept: &mut Vec<Vec<u8>>) { let mut v: Vec<u8> = Vec::with_capacity(100); v.push(1); v.reserve_exact(4999); kept.push(v); }
#[no_mangle]
#[inline(never)]
pub fn drop_box(n: usize) -> u64 { let b: Box<[u64]> = vec![3u64; n].into_boxed_slice(); b.iter().sum() }
#[repr(align(64))]
pub struct Wide([u8; 256]);
#[no_mangle]
#[inline(never)]
pub fn aligned(kept: &mut Vec<Box<Wide>>) { kept.push(Box::new(Wide([1; 256]))); }

fn main() {
    println!("pid {}\nready", std::process::id());
    let mut kept = Vec::with_capacity(10000);
    let mut wide = Vec::with_capacity(10000);
    for line in std::io::stdin().lock().lines() {
        if line.unwrap() == "quit" { break; }
        let (mut a, mut z, mut s, mut sum) = (0, 0, 0, 0u64);
        for i in 0..100 { keep_vec(&mut kept, i); a += 1000 + i; }
        for i in 1..101 { zeroed(&mut kept, 64 * i); z += 64 * i; }
        for _ in 0..100 { grow(&mut kept); }
        for _ in 0..100 { aligned(&mut wide); }
        for i in 1..101 { sum += drop_box(i); s += 8 * i; }
        assert!(sum % 3 == 0);
        println!("truth keep_vec 100 {} 100 {}", a, a);
        println!("truth zeroed 100 {} 100 {}", z, z);
        println!("truth grow 200 {} 100 {}", 100 * 5100, 100 * 5000);
        println!("truth aligned 100 25600 100 25600");
        println!("truth drop_box 100 {} 0 0", s);
        println!("done");
        std::io::stdout().flush().unwrap();
    }
}
