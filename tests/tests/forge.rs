//! The forges' interfaces, as fakes with a real Git repository behind them: the worker's clients, and the real worker
//! with a machine of the lab.

mod forge {
    mod apart;
    mod away;
    mod clients;
    mod moved;
    mod place;
    mod reviewed;
    mod setting_up;
    mod side_by_side;
    mod story;
    mod trouble;
}
