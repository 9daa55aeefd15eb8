// The route plan and its switch-over at refresh points (REQUIREMENTS S3).
#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "switch.h"

namespace claviger {
namespace {

using Sink = std::pair<Channel*, uint8_t>;
Sink sinkOf(const Edge& e) { return {e.receiver, e.sink}; }
// One source as one receiver gets it.
using Given = std::tuple<Channel*, uint8_t, Channel*>;
Given streamOf(const Edge& e) { return {e.source, e.position, e.receiver}; }
bool sameSource(const Edge& a, const Edge& b) { return a.source == b.source && a.position == b.position; }

}  // namespace

// `planned`: source, receiver, position and sink of each edge, looked up already.
bool Switch::setRoutes(Conference& conference, Media media, std::vector<Edge>& planned) {
  if (media == Media::audio) {
    std::map<Given, uint8_t> lanes;
    for (const Edge& e : conference.plans[static_cast<size_t>(media)].edges) lanes.emplace(streamOf(e), e.lane);
    for (Edge& e : planned) {
      e.active = e.planned = true;
      if (const auto old = lanes.find(streamOf(e)); old != lanes.end()) e.lane = old->second;
    }
    installPlan(conference, media, planned);
    return true;
  }
  std::map<Sink, Edge> shown;
  for (const Edge& e : conference.plans[static_cast<size_t>(media)].edges) {
    if (e.active) shown.emplace(sinkOf(e), e);
  }
  std::set<Sink> taken;
  std::set<Given> given;
  std::set<Given> begun;
  std::vector<Edge> edges;
  edges.reserve(planned.size() * 2);
  for (Edge& e : planned) {
    // A display shows one picture, and a receiver gets a stream once: the first edge named.
    if (taken.count(sinkOf(e)) != 0 || !given.insert(streamOf(e)).second) continue;
    taken.insert(sinkOf(e));
    e.planned = true;
    const auto old = shown.find(sinkOf(e));
    const bool same = old != shown.end() && sameSource(old->second, e);
    // Without a refresh flag no refresh point will ever be seen.
    e.active = same || !e.source->marksRefresh();
    if (same) e.sent = old->second.sent;
    edges.push_back(e);
    if (e.active && !same) {
      events_.switched(e.receiver->id, e.sink, e.source->id, e.position);
      begun.insert(streamOf(e));
    }
    if (e.active || old == shown.end()) continue;
    edges.push_back(old->second);
    edges.back().planned = false;
  }
  // What moved to another sink at once leaves the old one.
  edges.erase(std::remove_if(edges.begin(), edges.end(),
                             [&](const Edge& e) { return !e.planned && begun.count(streamOf(e)) != 0; }),
              edges.end());
  installPlan(conference, media, edges);
  return true;
}

void Switch::installPlan(Conference& conference, Media media, std::vector<Edge>& edges) {
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    if (a.source != b.source) return a.source->id < b.source->id;
    if (a.position != b.position) return a.position < b.position;
    if (a.sink != b.sink) return a.sink < b.sink;
    return a.receiver->id < b.receiver->id;
  });
  std::map<Sink, uint32_t> active;
  for (Channel* c : conference.channels) {
    if (c->media != media) continue;
    for (EdgeRange& r : c->edges) r = EdgeRange();
  }
  for (uint32_t i = 0; i < edges.size(); i++) {
    Edge& e = edges[i];
    e.retires = NO_EDGE;
    EdgeRange& range = e.source->edges[e.position];
    if (range.begin == range.end) range.begin = i;
    range.end = i + 1;
    if (e.active) active[sinkOf(e)] = i;
  }
  RoutePlan& plan = conference.plans[static_cast<size_t>(media)];
  plan.edges.swap(edges);
  for (Edge& e : plan.edges) {
    if (e.active || !e.planned) continue;
    if (const auto old = active.find(sinkOf(e)); old != active.end()) e.retires = old->second;
  }
  assignLanes(plan, media);
}

// A display is one stream of the switch's own, whoever is shown on it. An audio source keeps its stream while it is heard; a
// receiver that takes no more than one hears all in it, one after the other.
void Switch::assignLanes(RoutePlan& plan, Media media) {
  std::map<const Channel*, uint32_t> taken;
  for (Edge& e : plan.edges) {
    if (!e.receiver->own) continue;
    if (media == Media::video || !e.receiver->tip) e.lane = media == Media::video ? e.sink : 1;
    if (e.lane != 0) taken[e.receiver] |= 1u << e.lane;
  }
  for (Edge& e : plan.edges) {
    if (!e.receiver->own || e.lane != 0) continue;
    uint32_t& lanes = taken[e.receiver];
    uint8_t lane = 1;
    while (lane < LANES && (lanes & (1u << lane)) != 0) lane++;
    e.lane = lane < LANES ? lane : 0;
    lanes |= 1u << lane;
  }
}

void Switch::activate(RoutePlan& plan, Edge& edge) {
  if (edge.retires != NO_EDGE) plan.edges[edge.retires].active = false;
  // The stream may still be shown at another sink of this receiver that waits for its next source. Given twice it would
  // be a replay there, so it moves; the other sink keeps its last picture until its own source's refresh point.
  const EdgeRange range = edge.source->edges[edge.position];
  for (uint32_t i = range.begin; i < range.end; i++) {
    if (plan.edges[i].receiver == edge.receiver) plan.edges[i].active = false;
  }
  edge.active = true;
  events_.switched(edge.receiver->id, edge.sink, edge.source->id, edge.position);
}

// A picture that its receiver may not be given yet turns nobody over: it would never see it, and nobody would ask for another.
void Switch::refreshPoint(Channel& c, uint8_t position, uint8_t set) {
  RoutePlan& plan = c.conference->plans[static_cast<size_t>(c.media)];
  const EdgeRange range = c.edges[position];
  for (uint32_t i = range.begin; i < range.end; i++) {
    Edge& edge = plan.edges[i];
    if (edge.planned && !edge.active && admit(*edge.receiver, set) == Drop::none) activate(plan, edge);
  }
}

// Nothing marks this source's refresh points any more: who waits for one is turned over now.
void Switch::unmarked(Channel& c) {
  RoutePlan& plan = c.conference->plans[static_cast<size_t>(c.media)];
  for (const EdgeRange& range : c.edges) {
    for (uint32_t i = range.begin; i < range.end; i++) {
      if (plan.edges[i].planned && !plan.edges[i].active) activate(plan, plan.edges[i]);
    }
  }
}

void Switch::forgetEdges(Channel& closing) {
  RoutePlan& plan = closing.conference->plans[static_cast<size_t>(closing.media)];
  std::vector<Edge> kept;
  kept.reserve(plan.edges.size());
  for (const Edge& e : plan.edges) {
    const bool dead = !e.active && !e.planned;
    if (e.source != &closing && e.receiver != &closing && !dead) kept.push_back(e);
  }
  installPlan(*closing.conference, closing.media, kept);
}

}  // namespace claviger
