// The route plan and its switch-over at refresh points (REQUIREMENTS S3).
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "switch.h"

namespace claviger {
namespace {

using Sink = std::pair<Channel*, uint8_t>;
Sink sinkOf(const Edge& e) { return {e.receiver, e.sink}; }
bool sameSource(const Edge& a, const Edge& b) { return a.source == b.source && a.position == b.position; }

}  // namespace

// `planned`: source, receiver, position and sink of each edge, looked up already.
bool Switch::setRoutes(Conference& conference, Media media, std::vector<Edge>& planned) {
  if (media == Media::audio) {
    for (Edge& e : planned) e.active = e.planned = true;
    installPlan(conference, media, planned);
    return true;
  }
  std::map<Sink, Edge> shown;
  for (const Edge& e : conference.plans[static_cast<size_t>(media)].edges) {
    if (e.active) shown.emplace(sinkOf(e), e);
  }
  std::set<Sink> taken;
  std::vector<Edge> edges;
  edges.reserve(planned.size() * 2);
  for (Edge& e : planned) {
    if (!taken.insert(sinkOf(e)).second) continue;  // a display shows one picture: the first one named
    e.planned = true;
    const auto old = shown.find(sinkOf(e));
    const bool same = old != shown.end() && sameSource(old->second, e);
    // Without a refresh flag no refresh point will ever be seen; without an old picture there is nothing to keep.
    e.active = old == shown.end() || same || !e.source->trailingByte;
    edges.push_back(e);
    if (e.active && !same) events_.switched(e.receiver->id, e.sink, e.source->id, e.position);
    if (e.active) continue;
    edges.push_back(old->second);
    edges.back().planned = false;
  }
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
    const auto old = active.find(sinkOf(e));
    if (old != active.end()) {
      e.retires = old->second;
    } else {
      activate(plan, e);  // the old source has gone: there is no picture to keep
    }
  }
}

void Switch::activate(RoutePlan& plan, Edge& edge) {
  if (edge.retires != NO_EDGE) plan.edges[edge.retires].active = false;
  edge.active = true;
  events_.switched(edge.receiver->id, edge.sink, edge.source->id, edge.position);
}

void Switch::refreshPoint(Channel& c, uint8_t position) {
  RoutePlan& plan = c.conference->plans[static_cast<size_t>(c.media)];
  const EdgeRange range = c.edges[position];
  for (uint32_t i = range.begin; i < range.end; i++) {
    Edge& edge = plan.edges[i];
    if (edge.planned && !edge.active) activate(plan, edge);
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
