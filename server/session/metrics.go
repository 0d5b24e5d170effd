package session

// Usage is what the sessions count beside the engine.
type Usage struct {
	Clients, Accepted, Rejected int64 // connected now; in all; refused at the door
	In, Out                     int64 // bytes
}

// Usage needs no lock of the engine.
func (srv *Server) Usage() (u Usage) {
	u.Clients = int64(srv.Count())
	u.Accepted, u.Rejected = srv.accepted.Load(), srv.rejected.Load()
	if srv.net != nil {
		u.In, u.Out = srv.net()
	}
	return u
}
