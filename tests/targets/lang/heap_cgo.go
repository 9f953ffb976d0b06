// SPDX-License-Identifier: Apache-2.0
// C memory out of goroutines on several threads, and the truth about it; the test builds it.
package main

/*
#include <stdlib.h>
static __attribute__((noinline)) void *keep_c(size_t n) { void *p = malloc(n); __asm__ volatile("" : "+r"(p)); return p; }
static __attribute__((noinline)) void give_c(void *p) { __asm__ volatile("" : "+r"(p)); free(p); }
*/
import "C"
import (
	"bufio"
	"fmt"
	"os"
	"unsafe"
)

//go:noinline
func user(n int) unsafe.Pointer { return C.keep_c(C.size_t(n)) }

func main() {
	fmt.Printf("pid %d\nready\n", os.Getpid())
	sc := bufio.NewScanner(os.Stdin)
	for sc.Scan() {
		if sc.Text() == "quit" { return }
		bytes, live := 0, 0
		done := make(chan bool)
		for g := 0; g < 4; g++ {
			go func() {
				for i := 0; i < 25; i++ { p := user(1000 + i); if i%5 != 0 { C.give_c(p) } }
				done <- true
			}()
		}
		for g := 0; g < 4; g++ { <-done; for i := 0; i < 25; i++ { bytes += 1000 + i; if i%5 == 0 { live += 1000 + i } } }
		fmt.Printf("truth keep_c 100 %d 20 %d\ndone\n", bytes, live)
	}
}
