// A stand-in for LiveKit's egress worker: what is between a real livekit-server and it is real, what it does is not.
//
// It takes jobs of the server over Redis (psrpc, as livekit/egress does) and says each as a line of JSON on standard
// output; what becomes of them it is told on standard input, and tells the server. Who started it makes the sound.
//
//	out: {"do":"start","info":{…EgressInfo…}}   {"do":"stop","egressId":"EG_…"}
//	in:  {"egressId":"EG_…","status":"EGRESS_ACTIVE","error":""}   {"room":2}: it has room for so many jobs
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
)

type worker struct {
	mu       sync.Mutex
	room     int
	jobs     map[string]*livekit.EgressInfo
	io       rpc.IOInfoClient
	handlers map[string]rpc.EgressHandlerServer
	bus      psrpc.MessageBus
}

type order struct {
	EgressID string `json:"egressId"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Room     *int   `json:"room"`
}

func say(what map[string]any) {
	line, _ := json.Marshal(what)
	fmt.Println(string(line))
}

func (w *worker) StartEgressAffinity(_ context.Context, _ *rpc.StartEgressRequest) float32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.jobs) >= w.room {
		return -1
	}
	return 1
}

func (w *worker) StartEgress(_ context.Context, request *rpc.StartEgressRequest) (*livekit.EgressInfo, error) {
	info := &livekit.EgressInfo{
		EgressId:  request.EgressId,
		RoomId:    request.RoomId,
		Status:    livekit.EgressStatus_EGRESS_STARTING,
		UpdatedAt: time.Now().UnixNano(),
	}
	room := request.GetRoomComposite()
	if room == nil || len(room.StreamOutputs) != 1 || len(room.StreamOutputs[0].Urls) != 1 {
		return nil, psrpc.NewErrorf(psrpc.InvalidArgument, "the stand-in knows room composites with one stream only")
	}
	info.RoomName, info.Request = room.RoomName, &livekit.EgressInfo_RoomComposite{RoomComposite: room}
	handler, err := rpc.NewEgressHandlerServer(w, w.bus)
	if err == nil {
		err = handler.RegisterStopEgressTopic(info.EgressId)
	}
	if err != nil {
		return nil, psrpc.NewError(psrpc.Internal, err)
	}
	w.mu.Lock()
	w.jobs[info.EgressId], w.handlers[info.EgressId] = info, handler
	w.mu.Unlock()
	shown, _ := protojson.Marshal(info)
	say(map[string]any{"do": "start", "info": json.RawMessage(shown)})
	return info, nil
}

func (w *worker) StopEgress(_ context.Context, request *livekit.StopEgressRequest) (*livekit.EgressInfo, error) {
	w.mu.Lock()
	info := w.jobs[request.EgressId]
	w.mu.Unlock()
	if info == nil {
		return nil, psrpc.NewErrorf(psrpc.NotFound, "egress not found")
	}
	say(map[string]any{"do": "stop", "egressId": request.EgressId})
	return w.become(request.EgressId, livekit.EgressStatus_EGRESS_ENDING, ""), nil
}

func (w *worker) become(id string, status livekit.EgressStatus, why string) *livekit.EgressInfo {
	w.mu.Lock()
	info := w.jobs[id]
	if info == nil {
		w.mu.Unlock()
		return nil
	}
	info.Status, info.Error, info.UpdatedAt = status, why, time.Now().UnixNano()
	switch status {
	case livekit.EgressStatus_EGRESS_ACTIVE:
		info.StartedAt = time.Now().UnixNano()
	case livekit.EgressStatus_EGRESS_STARTING, livekit.EgressStatus_EGRESS_ENDING:
	default:
		info.EndedAt = time.Now().UnixNano()
		w.handlers[id].Kill()
		delete(w.jobs, id)
		delete(w.handlers, id)
	}
	w.mu.Unlock()
	if _, err := w.io.UpdateEgress(context.Background(), info); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return info
}

func (w *worker) ListActiveEgress(context.Context, *rpc.ListActiveEgressRequest) (*rpc.ListActiveEgressResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answer := &rpc.ListActiveEgressResponse{}
	for id := range w.jobs {
		answer.EgressIds = append(answer.EgressIds, id)
	}
	return answer, nil
}

func (w *worker) UpdateEgress(context.Context, *livekit.UpdateEgressRequest) (*livekit.EgressInfo, error) {
	return nil, psrpc.NewErrorf(psrpc.Unimplemented, "not by the stand-in")
}

func (w *worker) UpdateStream(context.Context, *livekit.UpdateStreamRequest) (*livekit.EgressInfo, error) {
	return nil, psrpc.NewErrorf(psrpc.Unimplemented, "not by the stand-in")
}

func run(redisURL string) error {
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return err
	}
	bus := psrpc.NewRedisMessageBus(redis.NewClient(options))
	w := &worker{room: 1, jobs: map[string]*livekit.EgressInfo{}, handlers: map[string]rpc.EgressHandlerServer{}, bus: bus}
	if w.io, err = rpc.NewIOInfoClient(bus); err != nil {
		return err
	}
	server, err := rpc.NewEgressInternalServer(w, bus)
	if err != nil {
		return err
	}
	if err = server.RegisterStartEgressTopic(""); err != nil {
		return err
	}
	say(map[string]any{"do": "ready"})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var told order
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			return err
		}
		if told.Room != nil {
			w.mu.Lock()
			w.room = *told.Room
			w.mu.Unlock()
		}
		if told.EgressID != "" {
			w.become(told.EgressID, livekit.EgressStatus(livekit.EgressStatus_value[told.Status]), told.Error)
		}
		say(map[string]any{"do": "heard"})
	}
	return nil
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
