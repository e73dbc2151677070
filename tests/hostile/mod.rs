//! A hostile day: what people, clients, handlers and configs can do wrong, each with its clear
//! outcome, after which the server works on.

mod bodies;
mod configs;
mod handlers;
mod keys;
mod stops;
