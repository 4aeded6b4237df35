export const Backtest = () => null
