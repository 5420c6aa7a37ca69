//! The forges' interfaces, as fakes with a real Git repository behind them.

mod forge {
    mod clients;
}
