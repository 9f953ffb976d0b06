// SPDX-License-Identifier: Apache-2.0

// Receivers that take profiles as the vendors' own generated code does: Pyroscope's push service (its Connect handlers), Pyroscope's
// /ingest (multipart), OpenTelemetry profiles over HTTP (the published schema and its index rules) and plain PUT.
//
//	readers -to FOLDER     listens on a free port of 127.0.0.1, prints it, and writes N.json for request N
//	readers -sum FILE...   prints what each pprof file holds, a line of JSON each
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/slim/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
)

// One profile as it was read: for each sample type ("cpu/nanoseconds") the sum of the values, and the sum by the
// innermost function.
type reading struct {
	Sums    map[string]int64            `json:"sums"`
	Names   map[string]map[string]int64 `json:"names"`
	Samples int                         `json:"samples"`
}

type request struct {
	How      string            `json:"how"`
	Labels   map[string]string `json:"labels"`
	Profiles []reading         `json:"profiles"`
	Problems []string          `json:"problems"`
}

func newReading() reading {
	return reading{Sums: map[string]int64{}, Names: map[string]map[string]int64{}}
}

func (r *reading) add(kind, name string, value int64) {
	if r.Names[kind] == nil {
		r.Names[kind] = map[string]int64{}
	}
	r.Sums[kind] += value
	r.Names[kind][name] += value
}

func readPprof(data []byte) (reading, error) {
	r := newReading()
	p, err := profile.ParseData(data)
	if err != nil {
		return r, err
	}
	if err := p.CheckValid(); err != nil {
		return r, err
	}
	for _, s := range p.Sample {
		name := ""
		if len(s.Location) > 0 && len(s.Location[0].Line) > 0 {
			name = s.Location[0].Line[0].Function.Name
		}
		for i, t := range p.SampleType {
			r.add(t.Type+"/"+t.Unit, name, s.Value[i])
		}
		r.Samples++
	}
	return r, nil
}

// ---- Pyroscope ----

type pusher struct{ done func(request) }

func (p pusher) Push(_ context.Context, r *connect.Request[pushv1.PushRequest]) (*connect.Response[pushv1.PushResponse], error) {
	for _, series := range r.Msg.Series {
		got := request{How: "push", Labels: map[string]string{}}
		for _, label := range series.Labels {
			if _, twice := got.Labels[label.Name]; twice {
				got.Problems = append(got.Problems, "label "+label.Name+" is there twice")
			}
			got.Labels[label.Name] = label.Value
		}
		for _, sample := range series.Samples {
			got.read(sample.RawProfile)
		}
		p.done(got)
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func (r *request) read(data []byte) {
	one, err := readPprof(data)
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	r.Profiles = append(r.Profiles, one)
}

func ingest(r *http.Request) request {
	got := request{How: "ingest", Labels: map[string]string{}}
	for key, values := range r.URL.Query() {
		got.Labels[key] = strings.Join(values, ",")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		body, err := unpacked(r) // format=pprof: the file itself
		if err != nil {
			got.Problems = append(got.Problems, err.Error())
		}
		got.read(body)
		return got
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return got
		}
		if err != nil {
			got.Problems = append(got.Problems, err.Error())
			return got
		}
		data, err := io.ReadAll(part)
		if err != nil {
			got.Problems = append(got.Problems, err.Error())
		}
		if part.FormName() == "profile" {
			got.read(data)
		} else if !json.Valid(data) {
			got.Problems = append(got.Problems, "part "+part.FormName()+" is no JSON")
		}
	}
}

// ---- OpenTelemetry ----

type dictionary struct {
	*profiles.ProfilesDictionary
	problems *[]string
}

func (d dictionary) problem(format string, args ...any) {
	if len(*d.problems) < 20 {
		*d.problems = append(*d.problems, fmt.Sprintf(format, args...))
	}
}

// An index must be inside its table; entry 0 stands for "none".
func (d dictionary) inside(what string, index int32, n int) bool {
	if index < 0 || int(index) >= n {
		d.problem("%s %d of %d", what, index, n)
		return false
	}
	return true
}

func (d dictionary) text(index int32) string {
	if !d.inside("string", index, len(d.StringTable)) {
		return ""
	}
	return d.StringTable[index]
}

// Entry 0 of each table is the zero value of its message, no string is there twice or not UTF-8.
func (d dictionary) check() {
	zero := func(what string, n int, first func() proto.Message) {
		if n == 0 || proto.Size(first()) != 0 {
			d.problem("entry 0 of the %s table is no zero value", what)
		}
	}
	zero("mapping", len(d.MappingTable), func() proto.Message { return d.MappingTable[0] })
	zero("location", len(d.LocationTable), func() proto.Message { return d.LocationTable[0] })
	zero("function", len(d.FunctionTable), func() proto.Message { return d.FunctionTable[0] })
	if len(d.LinkTable) == 0 || strings.Trim(string(d.LinkTable[0].TraceId)+string(d.LinkTable[0].SpanId), "\x00") != "" {
		d.problem("entry 0 of the link table is no zero value")
	}
	zero("attribute", len(d.AttributeTable), func() proto.Message { return d.AttributeTable[0] })
	zero("stack", len(d.StackTable), func() proto.Message { return d.StackTable[0] })
	if len(d.StringTable) == 0 || d.StringTable[0] != "" {
		d.problem("string 0 is not empty")
	}
	seen := map[string]bool{}
	for _, s := range d.StringTable {
		if seen[s] || !utf8.ValidString(s) {
			d.problem("string %q is there twice, or no UTF-8", s)
		}
		seen[s] = true
	}
	for _, m := range d.MappingTable {
		d.text(m.FilenameStrindex)
		d.attributes(m.AttributeIndices)
	}
	for _, l := range d.LocationTable {
		d.inside("mapping", l.MappingIndex, len(d.MappingTable))
		d.attributes(l.AttributeIndices)
		for _, line := range l.Lines {
			d.inside("function", line.FunctionIndex, len(d.FunctionTable))
		}
	}
	for _, f := range d.FunctionTable {
		d.text(f.NameStrindex)
		d.text(f.SystemNameStrindex)
		d.text(f.FilenameStrindex)
	}
	for _, s := range d.StackTable {
		for _, at := range s.LocationIndices {
			d.inside("location", at, len(d.LocationTable))
		}
	}
	for _, a := range d.AttributeTable {
		d.text(a.KeyStrindex)
		d.text(a.UnitStrindex)
	}
}

func (d dictionary) attributes(indices []int32) {
	for _, at := range indices {
		d.inside("attribute", at, len(d.AttributeTable))
	}
}

func (d dictionary) innermost(s *profiles.Sample) string {
	if !d.inside("stack", s.StackIndex, len(d.StackTable)) || len(d.StackTable[s.StackIndex].LocationIndices) == 0 {
		return ""
	}
	at := d.StackTable[s.StackIndex].LocationIndices[0]
	if !d.inside("location", at, len(d.LocationTable)) || len(d.LocationTable[at].Lines) == 0 {
		return ""
	}
	function := d.LocationTable[at].Lines[0].FunctionIndex
	if !d.inside("function", function, len(d.FunctionTable)) {
		return ""
	}
	return d.text(d.FunctionTable[function].NameStrindex)
}

func (d dictionary) kind(t *profiles.ValueType) string {
	return d.text(t.GetTypeStrindex()) + "/" + d.text(t.GetUnitStrindex())
}

// Where samples are counted and the time is not among what is sent, it is samples times the period, as Pyroscope takes it.
func (d dictionary) read(p *profiles.Profile, sent map[string]bool) reading {
	r := newReading()
	kind, period := d.kind(p.SampleType), d.kind(p.PeriodType)
	implied := kind == "samples/count" && p.Period > 0 && !sent[period]
	for _, s := range p.Samples {
		d.attributes(s.AttributeIndices)
		d.inside("link", s.LinkIndex, len(d.LinkTable))
		for _, value := range s.Values {
			r.add(kind, d.innermost(s), value)
			if implied {
				r.add(period, d.innermost(s), value*p.Period)
			}
		}
		r.Samples++
	}
	return r
}

func otlp(body []byte) request {
	got := request{How: "otlp", Labels: map[string]string{}}
	var message collector.ExportProfilesServiceRequest
	if err := proto.Unmarshal(body, &message); err != nil {
		got.Problems = append(got.Problems, err.Error())
		return got
	}
	d := dictionary{message.Dictionary, &got.Problems}
	if d.ProfilesDictionary == nil {
		d.problem("there is no dictionary")
		return got
	}
	d.check()
	for _, resource := range message.ResourceProfiles {
		for _, a := range resource.Resource.GetAttributes() {
			got.Labels[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range resource.ScopeProfiles {
			sent := map[string]bool{}
			for _, p := range scope.Profiles {
				sent[d.kind(p.SampleType)] = true
			}
			for _, p := range scope.Profiles {
				got.Profiles = append(got.Profiles, d.read(p, sent))
			}
		}
	}
	return got
}

// ---- the server ----

func unpacked(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" {
		return body, err
	}
	unzip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unzip)
}

func serve(folder string) {
	var n atomic.Int64
	done := func(got request) {
		text, err := json.Marshal(got)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.json", n.Add(1))), text, 0o600)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle(pushv1connect.NewPusherServiceHandler(pusher{done}))
	mux.HandleFunc("/ingest", func(w http.ResponseWriter, r *http.Request) { done(ingest(r)) })
	mux.HandleFunc("/v1development/profiles", func(w http.ResponseWriter, r *http.Request) {
		body, err := unpacked(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		done(otlp(body))
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := unpacked(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		got := request{How: "raw", Labels: map[string]string{"path": r.URL.Path}}
		got.read(body)
		done(got)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, mux))
}

func main() {
	to := flag.String("to", "", "serve, and write what comes to this folder")
	sum := flag.Bool("sum", false, "print what pprof files hold")
	flag.Parse()
	if !*sum {
		serve(*to)
	}
	for _, name := range flag.Args() {
		data, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		r, err := readPprof(data)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		text, _ := json.Marshal(r)
		fmt.Println(string(text))
	}
}
