// SPDX-License-Identifier: Apache-2.0

// push_client URL FILE N: the vendor's own client for Go uploads one profile N times, for tests/bench/push.py.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"
)

type quiet struct{ failed int }

func (q *quiet) Infof(string, ...interface{})  {}
func (q *quiet) Debugf(string, ...interface{}) {}
func (q *quiet) Errorf(format string, args ...interface{}) {
	q.failed++
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func main() {
	profile, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	n, _ := strconv.Atoi(os.Args[3])
	log := &quiet{}
	client, err := remote.NewRemote(remote.Config{Address: os.Args[1], Threads: 1, Timeout: 30 * time.Second, Logger: log})
	if err != nil {
		panic(err)
	}
	client.Start()
	for i := 0; i < n; i++ {
		now := time.Now()
		client.Upload(&upstream.UploadJob{Name: "shop{hostname=node,process=shop}", StartTime: now.Add(-15 * time.Second), EndTime: now,
			SpyName: "gospy", SampleRate: 100, Format: upstream.FormatPprof, Profile: profile})
		client.Flush()
	}
	if log.failed > 0 {
		os.Exit(1)
	}
}
